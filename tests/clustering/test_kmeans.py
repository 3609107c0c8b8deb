import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability.clustering.kmeans import kmeans, n_candidates
from clusterability.clustering.kmeans_batch import kmeans_batch
from clusterability.workers import single_threaded_libraries
from points import blobs, check_fixed_point, check_labels, inertia, starts


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


SHAPES = [  # n, m, k: below, at and above a tile of 128; odd and even k; m around multiples of 4
    (127, 1, 2),
    (128, 4, 3),
    (129, 3, 5),
    (256, 5, 12),
    (300, 8, 7),
    (700, 11, 12),
    (1000, 29, 30),
    (31, 2, 30),
    (40, 7, 1),
]


@pytest.mark.parametrize(("n", "m", "k"), SHAPES)
def test_labels_are_a_fixed_point_of_lloyd(n, m, k):
    points = np.random.default_rng(n).standard_normal((n, m))
    labels = kmeans(points, starts(3, k))
    check_labels(labels, n, k)
    check_fixed_point(points, labels)


@pytest.mark.slow
def test_as_good_as_scikit_learn():
    from sklearn.cluster import KMeans  # imported in two seconds

    ratios = []
    for seed, (n, m, k) in enumerate([(400, 3, 6), (300, 11, 12), (257, 5, 9), (150, 1, 4)] * 2):
        spread = 0.2 if seed < 4 else 1.0
        points = blobs(n, m, k, spread, seed)
        ours = inertia(points, kmeans(points, starts(25, k, seed)))
        theirs = KMeans(k, n_init=25, random_state=seed).fit(points).inertia_
        ratios.append(ours / theirs)
    assert np.mean(ratios) < 1.003
    assert max(ratios) < 1.02


def test_finds_well_separated_blobs_from_one_start():
    rng = np.random.default_rng(3)
    truth = rng.integers(12, size=800)
    points = 10 * np.eye(12)[truth] + 0.1 * rng.standard_normal((800, 12))
    labels = kmeans(points, starts(1, 12))
    assert len(set(zip(truth.tolist(), labels.tolist(), strict=True))) == 12


def test_more_starts_are_never_worse():
    points = np.random.default_rng(4).standard_normal((300, 6))
    many = starts(12, 9)
    found = [inertia(points, kmeans(points, many[: i + 1])) for i in range(12)]
    assert all(
        later <= earlier * (1 + 1e-6) for earlier, later in zip(found, found[1:], strict=False)
    )
    assert found[-1] < found[0]


@pytest.mark.parametrize("n_distinct", [1, 2, 4])
@pytest.mark.parametrize("n", [9, 200])
def test_fewer_distinct_points_than_clusters(n_distinct, n):
    distinct = np.random.default_rng(5).standard_normal((n_distinct, 3))
    which = np.arange(n) % n_distinct
    labels = kmeans(distinct[which], starts(4, 6))
    assert set(labels.tolist()) == set(range(6))
    pairs = set(zip(which.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == 6  # points that differ are never put together


def test_as_many_distinct_points_as_clusters():
    points = np.repeat(np.random.default_rng(6).standard_normal((7, 2)), 30, axis=0)
    labels = kmeans(points, starts(2, 7))
    check_labels(labels, 210, 7)
    assert inertia(points, labels) < 1e-20


def test_points_without_coordinates_are_all_the_same():
    assert sorted(kmeans(np.zeros((5, 0)), starts(3, 3)).tolist()) == [0, 0, 0, 1, 2]


def test_a_single_point():
    assert kmeans(np.array([[3.0, 4.0]]), starts(2, 1)).tolist() == [0]


@pytest.mark.parametrize("factor", [1e-200, 1e-12, 1e12, 1e200])
def test_scaling_the_points_changes_nothing(factor):
    points = blobs(200, 4, 5)
    expected = kmeans(points, starts(3, 5))
    assert np.array_equal(kmeans(points * factor, starts(3, 5)), expected)


@pytest.mark.parametrize("distance", [1e2, 1e4])
def test_outliers_do_not_blur_the_rest(distance):
    rng = np.random.default_rng(7)
    truth = rng.integers(3, size=400)
    points = 4 * np.eye(3)[truth] + 0.1 * rng.standard_normal((400, 3))
    points[:2] = [[distance, 0, 0], [0, -distance, 0]]
    labels = kmeans(points, starts(5, 5))
    check_labels(labels, 400, 5)
    assert len(set(zip(truth[2:].tolist(), labels[2:].tolist(), strict=True))) == 3
    assert not {labels[0], labels[1]} & set(labels[2:].tolist())


def test_deterministic_and_leaves_its_arguments_alone():
    points, draws = blobs(300, 6, 8), starts(4, 8)
    before = points.copy(), draws.copy()
    assert np.array_equal(kmeans(points, draws), kmeans(points, draws))
    assert np.array_equal(points, before[0])
    assert np.array_equal(draws, before[1])


def test_points_may_lie_in_memory_in_any_way():
    points = blobs(150, 5, 4)
    expected = kmeans(points, starts(2, 4))
    assert np.array_equal(kmeans(np.asfortranarray(points), starts(2, 4)), expected)
    assert np.array_equal(kmeans(np.repeat(points, 2, axis=0)[::2], starts(2, 4)), expected)


@pytest.mark.parametrize(("k", "expected"), [(1, 2), (2, 2), (3, 3), (12, 4), (30, 5)])
def test_candidates_of_greedy_seeding(k, expected):
    assert n_candidates(k) == expected
    assert starts(7, k).shape == (7, k, expected)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 140),
    m=st.integers(1, 9),
    k=st.integers(1, 9),
    grid=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_points(n, m, k, grid, seed):
    """On a coarse grid many points coincide, and many lie in the middle between two centers."""
    points = np.random.default_rng(seed).integers(0, grid, (n, m)).astype(float)
    labels = kmeans(points, starts(2, k, seed))
    assert len(set(labels.tolist())) == min(k, n)
    if len(np.unique(points, axis=0)) >= k:
        check_fixed_point(points, np.unique(labels, return_inverse=True)[1], 1e-5)


@pytest.mark.parametrize(("n", "m", "k"), [(90, 3, 4), (300, 11, 12), (128, 1, 3), (60, 5, 1)])
def test_the_batch_gives_the_same_labels(n, m, k):
    points = np.stack([blobs(n, m, k, 0.1, seed) for seed in range(3)])
    draws = np.stack([starts(1, k, seed) for seed in range(3)])
    alive = np.ones((3, n), bool)
    together = kmeans_batch(*map(torch.from_numpy, (points, alive, draws)))
    assert together.dtype == torch.int32
    for i in range(3):
        assert np.array_equal(together[i].numpy(), kmeans(points[i], draws[i]))


def test_the_batch_finds_the_same_clusters_from_several_starts():
    """Starts that end in one partition tie, and rounding chooses among them: numbers may differ."""
    points = np.stack([blobs(300, 11, 12, 0.1, seed) for seed in range(3)])
    draws = np.stack([starts(8, 12, seed) for seed in range(3)])
    alive = np.ones((3, 300), bool)
    together = kmeans_batch(*map(torch.from_numpy, (points, alive, draws))).numpy()
    for i in range(3):
        alone = kmeans(points[i], draws[i])
        assert len(set(zip(alone.tolist(), together[i].tolist(), strict=True))) == 12


def test_the_batch_leaves_masked_points_out():
    rng = np.random.default_rng(8)
    n, k = 200, 6
    points = np.stack([blobs(n, 4, k, 0.1, seed) for seed in range(3)])
    alive = rng.random((3, n)) < np.array([[0.9], [0.3], [1.0]])
    alive[0, 0] = alive[1, -1] = False
    draws = np.stack([starts(1, k, seed) for seed in range(3)])
    # An isolated neuron's row is 0, but its place must not matter.
    for masked in (np.where(alive[..., None], points, 0), points):
        together = kmeans_batch(*map(torch.from_numpy, (masked, alive, draws))).numpy()
        for i in range(3):
            assert (together[i][~alive[i]] == -1).all()
            expected = kmeans(points[i][alive[i]], draws[i])
            assert np.array_equal(together[i][alive[i]], expected)


def test_the_batch_may_be_cut_into_pieces(monkeypatch):
    points = torch.from_numpy(np.stack([blobs(80, 3, 4, 0.2, seed) for seed in range(5)]))
    draws = torch.from_numpy(np.stack([starts(1, 4, seed) for seed in range(5)]))
    alive = torch.ones(5, 80, dtype=torch.bool)
    whole = kmeans_batch(points, alive, draws)
    monkeypatch.setattr("clusterability.clustering.kmeans_batch.MEMORY", 2 * 4 * 80 * 4)
    assert torch.equal(kmeans_batch(points, alive, draws), whole)


@pytest.mark.parametrize("n_distinct", [1, 2, 4, 7])
def test_the_batch_with_few_distinct_points(n_distinct):
    distinct = np.random.default_rng(9).standard_normal((n_distinct, 3))
    which = np.arange(50) % n_distinct
    points = torch.from_numpy(np.stack([distinct[which]] * 2))
    draws = torch.from_numpy(np.stack([starts(3, 6, seed) for seed in range(2)]))
    labels = kmeans_batch(points, torch.ones(2, 50, dtype=torch.bool), draws).numpy()
    for row in labels:
        assert len(set(row.tolist())) == min(6, n_distinct)


def test_the_batch_with_points_without_coordinates():
    draws = torch.from_numpy(starts(2, 3)[None])
    labels = kmeans_batch(torch.zeros(1, 5, 0), torch.ones(1, 5, dtype=torch.bool), draws)
    assert labels.tolist() == [[0] * 5]


def test_the_batch_is_as_good_on_points_without_clusters():
    """Where many clusterings are near-equal, rounding may choose another; not a worse one."""
    points = np.random.default_rng(10).standard_normal((4, 300, 6))
    draws = np.stack([starts(10, 8, seed) for seed in range(4)])
    alive = torch.ones(4, 300, dtype=torch.bool)
    together = kmeans_batch(torch.from_numpy(points), alive, torch.from_numpy(draws)).numpy()
    for i in range(4):
        check_fixed_point(points[i], together[i])
        alone = inertia(points[i], kmeans(points[i], draws[i]))
        assert inertia(points[i], together[i]) == pytest.approx(alone, rel=0.01)


@pytest.mark.parametrize("weights", [None, np.empty(0)])
def test_no_points_have_no_labels(weights):
    assert kmeans(np.empty((0, 3)), starts(2, 3), weights).shape == (0,)
