import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability import toy
from clusterability.clustering.cut import normalized_cut, volumes_and_cuts
from clusterability.errors import InputError
from clusterability.experiments import plain_pipeline
from clusterability.graph import NeuronGraph
from clusterability.spectral.bound import Spectrum, spectrum
from clusterability.spectral.solvers import dense, iterative
from clusterability.workers import single_threaded_libraries
from graphs import (
    AWKWARD,
    TRIANGLE,
    batch_like,
    chain_of,
    joined,
    low_rank,
    naive_adjacency,
    naive_ncut,
    one_by_one,
    random_chain,
    uneven,
)


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def live_labels(graph, k, seed=0):
    """Random labels of the live neurons, -1 elsewhere."""
    labels = np.random.default_rng(seed).integers(k, size=graph.n_neurons)
    labels[graph.degrees(torch.float64).numpy() == 0] = -1
    return labels


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 3, 7])
@pytest.mark.parametrize("name", AWKWARD)
def test_equals_the_definition(name, k):
    graph = AWKWARD[name]
    labels = live_labels(graph, k)
    found = normalized_cut(graph, labels)
    assert found.dtype == torch.float64
    assert found.shape == ()
    assert float(found) == pytest.approx(naive_ncut(naive_adjacency(graph), labels), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_two_clusters_equal_networkx(name):
    graph = AWKWARD[name]
    labels = live_labels(graph, 2, seed=1)
    labels[[0, -1]] = 0, 1  # these are never isolated
    whole = networkx.from_numpy_array(naive_adjacency(graph))
    parts = [np.flatnonzero(labels == c).tolist() for c in (0, 1)]
    expected = networkx.normalized_cut_size(whole, *parts, weight="weight")
    assert float(normalized_cut(graph, labels)) == pytest.approx(expected, abs=1e-9)


def test_equals_the_plain_pipeline():
    graph = random_chain([20, 15, 10], density=0.2)
    blocks = [block.strengths.numpy() for block in graph.blocks]
    labels = live_labels(graph, 5)
    plain = plain_pipeline.normalized_cut(plain_pipeline.adjacency(blocks), labels[labels >= 0])
    assert float(normalized_cut(graph, labels)) == pytest.approx(plain, abs=1e-9)


SMALL = {
    "sizes": st.lists(st.integers(1, 6), min_size=2, max_size=4),
    "density": st.floats(0.1, 1),
    "k": st.integers(1, 6),
    "seed": st.integers(0, 2**32 - 1),
}


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(factor=st.sampled_from([1e-9, 0.3, 7.0, 1e9]), **SMALL)
def test_identities(sizes, density, k, seed, factor):
    graph = random_chain(sizes, seed, density)
    labels = live_labels(graph, k, seed)
    if (labels < 0).all():
        return
    ncut = float(normalized_cut(graph, labels))
    n_used = len(set(labels.tolist()) - {-1})
    assert -1e-12 <= ncut <= n_used + 1e-9
    scaled = graph.with_flat_strengths(graph.flat_strengths() * factor)
    assert float(normalized_cut(scaled, labels)) == pytest.approx(ncut, abs=1e-5)
    numbers = np.append(np.random.default_rng(seed).permutation(k + 3), -1)
    assert float(normalized_cut(graph, numbers[labels])) == pytest.approx(ncut, abs=1e-9)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(**SMALL)
def test_merging_two_clusters_never_raises_it(sizes, density, k, seed):
    graph = random_chain(sizes, seed, density)
    labels = live_labels(graph, k + 1, seed)
    if (labels < 0).all():
        return
    merged = np.where(labels == k, 0, labels)
    assert float(normalized_cut(graph, merged)) <= float(normalized_cut(graph, labels)) + 1e-9


def test_volumes_and_cuts_add_up():
    graph = random_chain([6, 5, 4])
    labels = torch.tensor(live_labels(graph, 3))
    volumes, cuts = volumes_and_cuts(graph, labels, 3)
    degrees = graph.degrees(torch.float64)
    assert float(volumes.sum()) == pytest.approx(float(degrees.sum()))
    assert float((cuts / volumes).sum()) == pytest.approx(float(normalized_cut(graph, labels)))
    one = torch.zeros_like(labels)
    assert float(volumes_and_cuts(graph, one, 1)[1]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("pairs", [[(0, 1), (1, 2)], TRIANGLE])
def test_gradient_by_finite_differences(pairs):
    graph = joined([3, 4, 2], pairs, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, -1])
    flat = graph.flat_strengths().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: normalized_cut(graph.with_flat_strengths(x), labels), flat
    )
    (gradient,) = torch.autograd.grad(normalized_cut(graph.with_flat_strengths(flat), labels), flat)
    assert float(gradient.abs().max()) > 1e-3
    full = labels.clamp_min(0)
    (gradient,) = torch.autograd.grad(normalized_cut(graph.with_flat_strengths(flat), full), flat)
    assert float(gradient @ flat.detach()) == pytest.approx(0, abs=1e-12)  # scale invariance


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(4, dtype=torch.long), r"must be 5 integers, one a neuron, got torch.int64 of"),
        (torch.zeros(5), "got torch.float32"),
        (torch.zeros(5, 1, dtype=torch.long), r"of shape \(5, 1\)"),
        (torch.tensor(0), r"of shape \(\)"),
        (torch.full((5,), -1), "no neuron in any cluster"),
        (torch.tensor([0, 0, 1, 0, 0]), "only isolated neurons; give these the label -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    graph = chain_of([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(InputError, match=message):
        normalized_cut(graph, labels)


def test_an_offset_is_added_to_each_volume():
    path = chain_of([[1.0]], [[1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])  # volumes 3 and 1, cuts 1 and 1
    assert float(normalized_cut(path, labels, 1.0)) == 1 / 4 + 1 / 2
    assert float(normalized_cut(path, labels, volume_offset=0)) == pytest.approx(4 / 3)
    tiny = chain_of([[1e-12]], [[1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 1])
    assert float(normalized_cut(tiny, labels)) == pytest.approx(1)
    assert float(normalized_cut(tiny, labels, 1e-8)) == pytest.approx(0, abs=2e-4)


@pytest.mark.parametrize("offset", [-1e-8, float("nan"), float("inf"), "1e-8", None, True])
def test_offsets_that_are_none_are_refused(offset):
    with pytest.raises(InputError, match=r"volume_offset is .*, expected a number of at least 0"):
        normalized_cut(random_chain([3, 2]), np.array([0, 1, 0, 1, 0]), offset)


def test_gaps_in_the_labels_count_nothing():
    graph = random_chain([3, 2])
    near, far = np.array([0, 1, 0, 1, 0]), np.array([2, 9, 2, 9, 2])
    assert float(normalized_cut(graph, near)) == pytest.approx(float(normalized_cut(graph, far)))


def several_labels(graph, shape, k):
    """(*shape, n_neurons), drawn anew for each graph; for large k some clusters stay empty."""
    each = [live_labels(graph, k, seed) for seed in range(int(np.prod(shape)))]
    return torch.tensor(np.stack(each)).view(*shape, graph.n_neurons)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
@pytest.mark.parametrize("name", AWKWARD)
def test_a_batch_equals_a_loop_gradients_too(name, shape, k):
    batch = batch_like(AWKWARD[name], shape)
    flat = batch.flat_strengths().double().requires_grad_()
    batch = batch.with_flat_strengths(flat)
    own = several_labels(AWKWARD[name], shape, k)
    graphs, each = one_by_one(batch), own.view(-1, batch.n_neurons)
    for labels, rows in ((own, each), (each[0], each[:1].expand(len(graphs), -1))):
        found = normalized_cut(batch, labels)
        expected = torch.stack([normalized_cut(g, r) for g, r in zip(graphs, rows, strict=True)])
        assert found.shape == shape
        torch.testing.assert_close(found, expected.view(shape))
        weights = torch.arange(1.0, len(graphs) + 1).double()
        (gradient,) = torch.autograd.grad(weights @ found.flatten(), flat)
        (looped,) = torch.autograd.grad(weights @ expected, flat)
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient, looped, atol=1e-9, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_volumes_and_cuts_of_a_batch_equal_a_loop(name):
    batch = batch_like(AWKWARD[name], (3,))
    labels = several_labels(AWKWARD[name], (3,), 4)
    volumes, cuts = volumes_and_cuts(batch, labels, 4)
    assert volumes.shape == cuts.shape == (3, 4)
    for i, graph in enumerate(one_by_one(batch)):
        one = volumes_and_cuts(graph, labels[i], 4)
        torch.testing.assert_close((volumes[i], cuts[i]), one)


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_several_partitions_of_one_graph(name):
    graph = AWKWARD[name]
    labels = several_labels(graph, (2, 2), 3)
    found = normalized_cut(graph, labels)
    expected = [float(normalized_cut(graph, row)) for row in labels.view(4, -1)]
    assert found.shape == (2, 2)
    assert found.flatten().tolist() == pytest.approx(expected)


def test_a_cluster_of_isolated_neurons_in_one_graph_of_a_batch_is_refused():
    graph = NeuronGraph.chain([torch.tensor([[[1.0], [1.0]], [[1.0], [0.0]]])])
    with pytest.raises(InputError, match="only isolated neurons"):
        normalized_cut(graph, [0, 1, 0])
    assert normalized_cut(graph, [[0, 1, 0], [0, -1, 1]]).tolist() == [1 / 3 + 1, 2]
    # Cluster 1 is empty in the second graph, which says nothing about it.
    assert normalized_cut(graph, [[0, 1, 0], [0, -1, 0]]).tolist() == [1 / 3 + 1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 0, 0]] * 2, r"labels of shape \(2, 3\) .* of shape \(4,\); give \(3,\), .*\(4, 3\)"),
        ([[0, 0, 0]] * 3 + [[-1, -1, -1]], "no neuron in any cluster"),
        ([0, 0], "must be 3 integers"),
    ],
)
def test_labels_that_do_not_fit_a_batch_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        normalized_cut(NeuronGraph.chain([torch.ones(4, 2, 1)]), labels)


def all_partitions(n, k):
    """(n_partitions, n) every way to label n neurons with exactly k labels, up to relabeling."""
    rows = [[0]]
    for _ in range(n - 1):
        rows = [[*row, label] for row in rows for label in range(min(k, max(row) + 2))]
    return np.array([row for row in rows if max(row) == k - 1], int).reshape(-1, n)


def lowest_ncut(graph, k):
    """The minimum over all partitions of the live neurons into k parts."""
    adjacency = naive_adjacency(graph)
    alive = adjacency.sum(1) > 0
    adjacency = adjacency[alive][:, alive]
    partitions = all_partitions(len(adjacency), k)
    members = np.eye(k)[partitions]
    inside = np.einsum("pic,ij,pjc->pc", members, adjacency, members, optimize=True)
    return float((1 - inside / (adjacency.sum(1) @ members)).sum(1).min(initial=np.inf))


BOUNDED = {
    "chain": random_chain([4, 3, 2]),
    "sparse": random_chain([4, 3, 3], 1, density=0.35),
    "triangle": joined([3, 2, 3], TRIANGLE, 2),
    "sparse triangle": joined([3, 3, 3], TRIANGLE, 3, density=0.4),
    "rank one": low_rank(4, 4, 1),
    "all equal": chain_of(np.ones((4, 4))),
    "path": chain_of(*[[[1.0]]] * 7),
    "star": chain_of(np.ones((1, 7))),
    "matching": chain_of(np.eye(4)),
    "1 x 3": chain_of([[1.0, 2.0, 3.0]]),
    "uneven": uneven([3, 3, 2]),
    "two near parts": chain_of(np.eye(2).repeat(2, 0).repeat(2, 1) + 1e-9),
    "two parts as good as one": chain_of(
        [[1 + 9e-7, 1 - 9e-7], [1 - 9e-7, 1 + 9e-7]], dtype=torch.float64
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("n_eigenvalues", [0, 8])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
@pytest.mark.parametrize("name", BOUNDED)
def test_no_partition_lies_below_the_bound(name, k, n_eigenvalues):
    graph = BOUNDED[name]
    found = spectrum(graph, k + n_eigenvalues, np.random.default_rng(0))
    bound, lowest = found.lower_bound(k), lowest_ncut(graph, k)
    assert 0 <= bound <= k
    assert bound <= lowest + 1e-12


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    density=st.floats(0.3, 1),
    k=st.integers(2, 4),
    seed=st.integers(0, 2**32 - 1),
    closed=st.booleans(),
)
def test_no_partition_of_any_small_graph_lies_below_the_bound(sizes, density, k, seed, closed):
    pairs = TRIANGLE if closed and len(sizes) == 3 else [(i, i + 1) for i in range(len(sizes) - 1)]
    graph = joined(sizes, pairs, seed, density)
    if float(graph.degrees().sum()) > 0:
        found = spectrum(graph, k + 2, np.random.default_rng(0))
        assert found.lower_bound(k) <= lowest_ncut(graph, k) + 1e-12


@pytest.mark.parametrize(("n_parts", "k"), [(2, 2), (4, 4), (4, 3)])
def test_the_bound_is_met_by_separate_parts(n_parts, k):
    graph = chain_of(np.eye(n_parts).repeat(3, 0).repeat(3, 1))
    assert spectrum(graph, k, np.random.default_rng(0)).lower_bound(k) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sizes", [[40, 30, 20], [230, 220]])
@pytest.mark.parametrize("solver", [dense, iterative])
def test_the_bound_is_hardly_below_the_sum_of_the_eigenvalues(sizes, solver):
    graph = random_chain(sizes)
    found = spectrum(graph, 20, np.random.default_rng(0), solver)
    adjacency = naive_adjacency(graph)
    roots = np.sqrt(adjacency.sum(1))
    exact = 1 - np.linalg.eigvalsh(adjacency / roots / roots[:, None])[::-1][:12].sum() + 11
    assert found.eigenvalues[0] == 0
    assert list(found.eigenvalues) == sorted(found.eigenvalues)
    assert found.residual < 1e-2
    assert exact - 12 * found.residual - 1e-6 <= found.lower_bound(12) <= exact + 1e-9


def test_eigenvalues_that_are_not_there_count_one():
    found = Spectrum((0.0, 0.25), residual=0.0)
    assert found.lower_bound(2) == pytest.approx(0.25, abs=1e-8)
    assert found.lower_bound(4) == pytest.approx(2.25, abs=1e-5)
    assert Spectrum((0.0, 0.25), residual=0.1).lower_bound(2) == pytest.approx(0.15, abs=1e-8)
    assert Spectrum((0.0, 0.25), residual=1.0).lower_bound(2) == 0


def test_labels_of_any_stride():
    labels = np.array([0, 0, 1, 1])
    assert normalized_cut(toy.path(), labels[::-1]) == normalized_cut(toy.path(), labels)


def test_negative_strengths_are_no_isolated_neurons():
    graph = NeuronGraph.chain([-torch.ones(2, 3), torch.ones(3, 1)])
    with pytest.raises(InputError, match="the volume -3, expected none below 0; take absolute"):
        normalized_cut(graph, [0, 1, 1, 1, 1, 1])
