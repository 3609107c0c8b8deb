from itertools import combinations

import numpy as np
import pytest

from clusterability.clustering.agreement import adjusted_rand_index, agreement, renumbered


@pytest.fixture(scope="module")
def adjusted_rand_score():
    from sklearn.metrics import adjusted_rand_score  # imported in two seconds

    return adjusted_rand_score


@pytest.mark.parametrize("seed", range(5))
def test_index_against_scikit_learn(seed, adjusted_rand_score):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    second = np.where(rng.random(50) < 0.5, first, second)
    expected = adjusted_rand_score(first, second)
    assert adjusted_rand_index(first, second) == pytest.approx(expected, abs=1e-12)
    left_out = rng.random(50) < 0.3
    found = adjusted_rand_index(np.where(left_out, -1, first), second)
    assert found == pytest.approx(adjusted_rand_score(first[~left_out], second[~left_out]))


@pytest.mark.parametrize(
    ("first", "second"),
    [([0, 0, 0], [0, 0, 0]), ([0, 1, 2], [2, 0, 1]), ([0, 0, 0], [0, 1, 2]), ([0], [0]), ([], [])],
)
def test_index_of_awkward_clusterings(first, second, adjusted_rand_score):
    first, second = np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
    assert adjusted_rand_index(first, second) == adjusted_rand_score(first, second)


def test_consensus_is_what_most_have(adjusted_rand_score):
    rng = np.random.default_rng(0)
    truth = np.append(rng.integers(0, 5, 99), -1)
    clusterings = []
    for _ in range(7):
        names = rng.permutation(5)
        noisy = np.where(rng.random(100) < 0.1, rng.integers(0, 5, 100), truth)
        clusterings.append(np.where(truth < 0, -1, names[noisy]))
    found = agreement(clusterings)
    assert adjusted_rand_index(found.labels, truth) == 1
    assert found.labels[-1] == -1
    assert found.shares[-1] == 0
    pairs = [adjusted_rand_score(a, b) for a, b in combinations([c[:-1] for c in clusterings], 2)]
    np.testing.assert_allclose(found.indices, pairs)
    assert found.mean == pytest.approx(np.mean(pairs))
    np.testing.assert_array_equal(renumbered(found.labels, clusterings[0], 5), found.labels)
    numbered = [renumbered(labels, found.labels, 5) for labels in clusterings]
    np.testing.assert_allclose(found.shares[:-1], np.mean(numbered == found.labels, 0)[:-1])


def test_one_seed_that_differs_changes_nothing():
    same, other = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 2])
    found = agreement([same, same, other])
    np.testing.assert_array_equal(found.labels, same)
    assert found.indices[0] == 1
