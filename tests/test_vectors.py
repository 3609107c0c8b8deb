"""Short vectors against NumPy, number by number."""

import numpy as np
from numba import njit

from clusterability.vectors import (
    WIDTH,
    in_float64,
    load,
    load_spread,
    spread,
    store,
    total,
    where_lower,
)


@njit
def _compute(first, second, sums, products, places):
    x, y = load(first, 1), load(second, 0)
    store(sums, 1, x + y - load_spread(second, 2))
    store(products, 0, x * y)
    places_of_lower = where_lower(x, y, spread(np.int32(1)), spread(np.int32(2)))
    store(places, 0, places_of_lower)
    return total(in_float64(x)), total(y)


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
