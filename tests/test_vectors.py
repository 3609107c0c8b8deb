"""Short vectors against NumPy, number by number."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from clusterability.clustering.kmeans import draw_starts, kmeans
from clusterability.spectral.filtering import largest_eigenvectors
from clusterability.vectors import (
    WIDTH,
    WORD,
    count_bits,
    in_float64,
    load,
    load_spread,
    lowest_bit,
    not_zero,
    spread,
    store,
    total,
    where_lower,
)
from factors import factor_of


@njit
def _compute(first, second, sums, products, places):
    x, y = load(first, 1), load(second, 0)
    store(sums, 1, x + y - load_spread(second, 2))
    store(products, 0, x * y)
    places_of_lower = where_lower(x, y, spread(np.int32(1)), spread(np.int32(2)))
    store(places, 0, places_of_lower)
    return total(in_float64(x)), total(y)


@pytest.mark.slow
def test_vectors_compute_number_by_number():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, WIDTH + 2)).astype(np.float32)
    sums, products = np.zeros((2, WIDTH + 2), np.float32)
    places = np.zeros(WIDTH, np.int32)
    exact, rounded = _compute(first, second, sums, products, places)
    x, y = first[1:-1], second[:WIDTH]
    np.testing.assert_array_equal(sums[1:-1], x + y - second[2])
    np.testing.assert_array_equal(products[:WIDTH], x * y)
    np.testing.assert_array_equal(places, np.where(x < y, 1, 2))
    assert exact == np.float64(x).sum()
    assert abs(rounded - y.sum()) < 1e-5
    assert sums[0] == sums[-1] == products[WIDTH] == 0


@njit
def _list(values, first, places):
    bits = not_zero(values, first)
    n = count_bits(bits)
    for i in range(n):
        places[i] = lowest_bit(bits)
        bits &= bits - np.uint64(1)
    return n


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_bits_tell_which_numbers_are_not_zero(share, dtype):
    rng = np.random.default_rng(0)
    values = (rng.random(WORD + 5) < share).astype(dtype)
    values[3:6] = np.nan, -0.0, np.finfo(dtype).smallest_subnormal
    places = np.empty(WORD, np.int64)
    n = _list(values, 2, places)
    assert np.array_equal(places[:n], np.flatnonzero(values[2 : 2 + WORD]))


def labels_and_eigenvectors():
    rng = np.random.default_rng(0)
    points, weights = rng.random((140, 3)), rng.random(140)
    points[:70] += 2
    starts = draw_starts(rng, 1, 3)
    dense = rng.random((30, 24)).astype(np.float32) * (rng.random((30, 24)) < 0.3)
    dense /= np.float32(np.linalg.norm(dense, 2))
    zeros, start = np.zeros(24, np.float32), rng.standard_normal((24, WIDTH), dtype=np.float32)
    vectors = largest_eigenvectors(factor_of(dense), zeros, start, 4)
    largest = np.linalg.svd(dense)[2][:4]
    return kmeans(points, starts), kmeans(points, starts, weights), np.abs(largest @ vectors)


@pytest.mark.slow
def test_uncompiled_functions_find_the_same():
    """NUMBA_DISABLE_JIT leaves all functions to Python, so that a debugger can step through."""
    names = ("labels", "weighted", "along")
    code = (
        "import json, numba, test_vectors as tests; assert numba.config.DISABLE_JIT\n"
        "print(json.dumps([found.tolist() for found in tests.labels_and_eigenvectors()]))"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found = dict(zip(names, json.loads(run.stdout), strict=True))
    labels, weighted, along = labels_and_eigenvectors()
    np.testing.assert_array_equal(found["labels"], labels)
    np.testing.assert_array_equal(found["weighted"], weighted)
    for each in (along, found["along"]):
        np.testing.assert_allclose(each, np.eye(4), atol=1e-4)
