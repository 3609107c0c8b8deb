import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability.clustering.kmeans import fill_empty, kmeans
from clusterability.clustering.kmeans_batch import kmeans_batch
from clusterability.workers import single_threaded_libraries
from points import (
    blobs,
    check_fixed_point,
    check_labels,
    inertia,
    means,
    squared_distances,
    starts,
)


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def naive_weighted_kmeans(points, draws, weights):
    """Seeding and iteration by their definitions in float64; the start with the lowest inertia."""
    found = []
    for uniforms in draws:
        centers = points[[drawn(weights, uniforms[0, 0])]]
        for row in uniforms[1:]:
            closest = weights * squared_distances(points, centers).min(1)
            tried = [np.vstack([centers, points[drawn(closest, u)]]) for u in row]
            left = [weights @ squared_distances(points, centers).min(1) for centers in tried]
            centers = tried[int(np.argmin(left))]
        labels = None
        while True:
            nearest = squared_distances(points, centers).argmin(1)
            if labels is not None and (labels == nearest).all():
                break
            labels = nearest
            centers = means(points, labels, weights)
        found.append((inertia(points, labels, weights), labels))
    return min(found, key=lambda pair: pair[0])[1]


def drawn(shares, uniform):
    return int(np.searchsorted(np.cumsum(shares), uniform * np.sum(shares), side="right"))


def uneven_weights(n, seed, lowest=-2.0):
    return 10 ** np.random.default_rng(seed).uniform(lowest, 0, n)


def in_a_batch(points, draws, weights):
    """The labels of one set of points, by the batch."""
    alive = np.ones((1, len(points)), bool)
    arrays = (points[None], alive, draws[None], weights[None])
    return kmeans_batch(*map(torch.from_numpy, arrays))[0].numpy()


def alone(points, draws, weights):
    return kmeans(points, draws, weights)


BOTH = pytest.mark.parametrize("weighted", [alone, in_a_batch])


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(("n", "m", "k"), [(90, 3, 4), (300, 11, 12), (128, 1, 3), (60, 5, 1)])
def test_weighted_equals_the_naive_twin(weighted, n, m, k):
    for seed in range(4):
        points, weights = blobs(n, m, k, 0.1, seed), uneven_weights(n, seed)
        draws = starts(1, k, seed)
        expected = naive_weighted_kmeans(points, draws, weights)
        assert np.array_equal(weighted(points, draws, weights), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "k"), [(90, 3, 4), (400, 6, 9), (600, 11, 12), (60, 5, 1)])
def test_without_weights_equals_the_naive_twin(n, m, k):
    """The twin computes all distances at each step; the scores that are kept must be these."""
    for seed in range(4):
        points, draws = blobs(n, m, k, 0.5, seed), starts(1, k, seed)
        expected = naive_weighted_kmeans(points, draws, np.ones(n))
        assert np.array_equal(kmeans(points, draws), expected)


@pytest.mark.slow
@BOTH
def test_the_best_of_several_weighted_starts(weighted):
    points, weights, draws = blobs(200, 5, 7, 0.4), uneven_weights(200, 1), starts(8, 7)
    expected = inertia(points, naive_weighted_kmeans(points, draws, weights), weights)
    assert inertia(points, weighted(points, draws, weights), weights) == pytest.approx(expected)
    each = [inertia(points, weighted(points, draws[i : i + 1], weights), weights) for i in range(8)]
    assert max(each) > 1.01 * expected


@pytest.mark.slow
@BOTH
def test_weighted_as_good_as_scikit_learn(weighted):
    from sklearn.cluster import KMeans  # imported in two seconds

    ratios = []
    for seed, (n, m, k) in enumerate([(400, 3, 6), (300, 11, 12), (257, 5, 9), (150, 1, 4)] * 2):
        spread = 0.2 if seed < 4 else 1.0
        points, weights = blobs(n, m, k, spread, seed), uneven_weights(n, seed)
        ours = inertia(points, weighted(points, starts(25, k, seed), weights), weights)
        theirs = KMeans(k, n_init=25, random_state=seed).fit(points, sample_weight=weights)
        ratios.append(ours / theirs.inertia_)
    assert np.mean(ratios) < 1.003
    assert max(ratios) < 1.02


@BOTH
def test_a_weight_is_worth_as_many_points(weighted):
    rng = np.random.default_rng(11)
    points, counts = blobs(120, 4, 5, 0.5), rng.integers(1, 6, 120)
    repeated = np.repeat(np.arange(120), counts)
    ours = weighted(points, starts(25, 5), counts.astype(float))
    theirs = kmeans(points[repeated], starts(25, 5))
    found = inertia(points[repeated], ours[repeated])
    assert found == pytest.approx(inertia(points[repeated], theirs), rel=1e-3)


@BOTH
@pytest.mark.parametrize("factor", [2.0**-700, 1.0, 2.0**700])
def test_equal_weights_are_no_weights(weighted, factor):
    points = blobs(300, 6, 8, 0.1)
    expected = kmeans(points, starts(3, 8))
    found = weighted(points, starts(3, 8), np.full(300, factor))
    assert len(set(zip(expected.tolist(), found.tolist(), strict=True))) == 8


@BOTH
def test_points_of_no_weight_move_no_center(weighted):
    rng = np.random.default_rng(12)
    points, weights = blobs(200, 4, 6, 0.1), uneven_weights(200, 2)
    counted = rng.random(200) < 0.7
    weights[~counted] = 0
    points[~counted] += rng.standard_normal(((~counted).sum(), 4))
    labels = weighted(points, starts(1, 6), weights)
    expected = kmeans(points[counted], starts(1, 6), weights[counted])
    assert np.array_equal(labels[counted], expected)
    nearest = squared_distances(points, means(points, labels, weights)).argmin(1)
    assert np.array_equal(labels, nearest)


@BOTH
def test_no_weight_at_all(weighted):
    points = blobs(50, 3, 4, 0.1)
    check_labels(weighted(points, starts(2, 4), np.zeros(50)), 50, 4)


@BOTH
@pytest.mark.parametrize("lightest", [1e-20, 1e-60])
def test_light_points_far_from_heavy_ones_make_clusters_where_they_lie(weighted, lightest):
    """The heavy points coincide at two places, so only light ones are left to be drawn."""
    rng = np.random.default_rng(13)
    truth = np.repeat(np.arange(4), 40)
    points = 3 * np.eye(4)[truth]
    points[truth >= 2] += 0.1 * rng.standard_normal((80, 4))
    weights = np.where(truth >= 2, uneven_weights(160, 3, -1) * lightest, 1.0)
    labels = weighted(points, starts(1, 4), weights)
    assert len(set(zip(truth.tolist(), labels.tolist(), strict=True))) == 4


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("lowest", [-8, -30])
def test_weights_of_very_uneven_sizes(weighted, lowest):
    """No center of light points keeps the rounding of heavy ones that have been there."""
    for seed in range(20):
        points, weights = blobs(150, 3, 10, 1.0, seed), uneven_weights(150, seed, lowest)
        weights[weights < 1e-24] = 1e-24
        labels = weighted(points, starts(2, 10, seed), weights)
        check_labels(labels, 150, 10)
        check_fixed_point(points, labels, 1e-6, weights / weights.max())


@BOTH
@pytest.mark.parametrize("n_distinct", [1, 2, 4])
@pytest.mark.parametrize("n", [9, 200])
def test_weighted_points_that_coincide(weighted, n_distinct, n):
    distinct = np.random.default_rng(5).standard_normal((n_distinct, 3))
    which = np.arange(n) % n_distinct
    labels = weighted(distinct[which], starts(4, 6), uneven_weights(n, 4, -30)).copy()
    fill_empty(labels, 6)
    assert set(labels.tolist()) == set(range(6))
    assert len(set(zip(which.tolist(), labels.tolist(), strict=True))) == 6


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 140),
    m=st.integers(1, 9),
    k=st.integers(1, 9),
    grid=st.integers(1, 6),
    lowest=st.sampled_from([0.0, -3.0, -30.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_weighted_points(n, m, k, grid, lowest, seed):
    points = np.random.default_rng(seed).integers(0, grid, (n, m)).astype(float)
    labels = kmeans(points, starts(2, k, seed), uneven_weights(n, seed, lowest))
    assert len(set(labels.tolist())) == min(k, n)


def test_the_batch_leaves_masked_points_out_whatever_their_weight():
    rng = np.random.default_rng(14)
    n, k = 200, 6
    points = np.stack([blobs(n, 4, k, 0.1, seed) for seed in range(3)])
    alive = rng.random((3, n)) < np.array([[0.9], [0.3], [1.0]])
    weights = np.stack([uneven_weights(n, seed) for seed in range(3)])
    draws = np.stack([starts(1, k, seed) for seed in range(3)])
    for left_out in (0.0, 1e6):
        masked = np.where(alive, weights, left_out)
        arrays = (points, alive, draws, masked)
        together = kmeans_batch(*map(torch.from_numpy, arrays)).numpy()
        for i in range(3):
            assert (together[i][~alive[i]] == -1).all()
            expected = kmeans(points[i][alive[i]], draws[i], weights[i][alive[i]])
            assert np.array_equal(together[i][alive[i]], expected)
