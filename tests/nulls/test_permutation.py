import numpy as np
import pytest
import scipy  # scipy.stats, which takes a second, is loaded when it is first used

from clusterability.nulls import permutation as module
from clusterability.nulls.permutation import nonzero_values, scatter


def rng(seed):
    return np.random.default_rng(seed)


def test_numbers_of_the_default_generator_are_those_that_are_drawn_as_integers():
    drawn, expected = rng(4), rng(4).integers(0, 2**64, size=12, dtype=np.uint64)
    assert np.array_equal(np.append(module._draw(drawn, 5), module._draw(drawn, 7)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("n_places", [5, 67])
def test_all_places_and_orders_of_few_values_are_equally_likely(n_places):
    values, generator = np.zeros(n_places, np.float32), rng(8)
    values[[0, 3]] = 1, 2
    n_orders = n_places * (n_places - 1)
    counts, out = np.zeros((n_places, n_places)), np.full(n_places, np.nan, np.float32)
    for _ in range(4 * n_orders):
        scatter(values[values != 0], generator, out)
        assert np.count_nonzero(out) == 2
        counts[np.flatnonzero(out == 1)[0], np.flatnonzero(out == 2)[0]] += 1
    assert not counts.diagonal().any()
    assert scipy.stats.chisquare(counts[~np.eye(n_places, dtype=bool)]).pvalue > 1e-3


@pytest.mark.parametrize("n_kept", [0, 1, 64, 129, 130])
def test_a_sparse_block_keeps_its_values_whatever_their_number(n_kept):
    values, out = np.zeros(130, np.float32), np.empty(130, np.float32)
    values[:n_kept] = np.arange(1, n_kept + 1)
    kept = nonzero_values(values, n_kept)
    assert np.array_equal(kept, values[:n_kept])
    scatter(kept, rng(9), out)
    assert np.array_equal(np.sort(out), np.sort(values))
    assert n_kept == 0 or nonzero_values(values, n_kept - 1) is None


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 127, 128, 129])
def test_values_are_kept_bit_by_bit_and_none_of_those_behind_them(n):
    values = np.full(n + 64, 7, np.float32)[:n]
    values *= rng(n).random(n) < 0.5
    kinds = np.array([np.nan, -0.0, np.inf, np.finfo(np.float32).smallest_subnormal], np.float32)
    values[:4] = kinds[:n]
    expected = values[values != 0]
    kept = nonzero_values(values, expected.size)
    assert kept.tobytes() == expected.tobytes()
    assert n == 0 or nonzero_values(values, expected.size - 1) is None
