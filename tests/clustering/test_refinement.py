import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability.clustering import sums
from clusterability.clustering.refinement import offset_ncut, refine, refine_from
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import pack
from clusterability.graph.sparse import without_zeros
from graphs import (
    AWKWARD,
    TRIANGLE,
    chain_of,
    joined,
    naive_adjacency,
    naive_ncut,
    random_chain,
    side_by_side,
    triangles_and_weak_neurons,
    uneven,
)


def naive_refinement(graph, labels, n_clusters):
    """The same search, each n-cut worked out anew from the whole adjacency matrix."""
    adjacency, labels = naive_adjacency(graph), labels.copy()
    current = naive_ncut_fast(adjacency, labels)
    moved = True
    while moved:
        moved = False
        for neuron in range(len(labels)):
            old = labels[neuron]
            if old < 0 or (labels == old).sum() == 1:
                continue
            tried = {}
            for new in range(n_clusters):
                if new != old and (labels == new).any():
                    labels[neuron] = new
                    tried[new] = naive_ncut_fast(adjacency, labels)
            labels[neuron] = old
            if tried and min(tried.values()) < current - 1e-12:
                labels[neuron] = min(tried, key=tried.get)
                current = tried[labels[neuron]]
                moved = True
    return labels, current


def naive_ncut_fast(adjacency, labels):
    members = (labels[:, None] == np.unique(labels[labels >= 0])).astype(float)
    inside = np.einsum("ic,ij,jc->c", members, adjacency, members)
    return float((1 - inside / (adjacency.sum(1) @ members)).sum())


def random_labels(graph, k, seed=0):
    """Labels of every live neuron, each cluster used if there are enough neurons; -1 elsewhere."""
    rng = np.random.default_rng(seed)
    alive = np.flatnonzero(graph.degrees(torch.float64).numpy() > 0)
    labels = np.full(graph.n_neurons, -1, np.int32)
    labels[alive] = rng.permutation(
        np.concatenate([np.arange(k), rng.integers(k, size=alive.size)])
    )[: alive.size]
    return labels


def run(graph, labels, k):
    degrees = graph.degrees(torch.float64).numpy()
    return refine(pack(graph), degrees, labels, k)


@pytest.mark.parametrize("name", AWKWARD)
def test_without_zeros_the_search_is_the_same(name):
    flat = AWKWARD[name].flat_strengths().float()
    graph = AWKWARD[name].with_flat_strengths(flat)
    degrees, labels = graph.degrees(torch.float64).numpy(), random_labels(graph, 3)
    expected = run(graph, labels, 3)
    refined = refine(without_zeros(graph, 1.0), degrees, labels, 3)
    assert np.array_equal(refined.labels, expected.labels)
    assert refined.ncut == pytest.approx(expected.ncut, abs=1e-12)
    assert refined.refined_ncut == pytest.approx(expected.refined_ncut, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1e-8, 0.5, 1e300])
@pytest.mark.parametrize("name", AWKWARD)
def test_an_n_cut_with_an_offset_is_that_of_its_definition(name, offset):
    graph = AWKWARD[name]
    graph = graph.with_flat_strengths(graph.flat_strengths().float())
    labels = random_labels(graph, 3)
    degrees = graph.degrees(torch.float64).numpy()
    expected = naive_ncut(naive_adjacency(graph), labels, offset)
    for packed in (pack(graph), without_zeros(graph, 1.0)):
        found = offset_ncut(packed, degrees, labels, 3, offset)
        assert found == pytest.approx(expected, abs=1e-6)


def check(graph, labels, k, local=1e-9):
    before = labels.copy()
    refined = run(graph, labels, k)
    adjacency = naive_adjacency(graph)
    assert np.array_equal(labels, before)
    assert refined.labels.dtype == np.int32
    assert refined.ncut == pytest.approx(naive_ncut(adjacency, labels), abs=1e-7)
    assert refined.refined_ncut == pytest.approx(naive_ncut(adjacency, refined.labels), abs=1e-7)
    assert refined.refined_ncut <= refined.ncut
    assert np.array_equal(refined.labels < 0, labels < 0)
    assert set(refined.labels.tolist()) == set(labels.tolist())
    sizes = np.bincount(refined.labels[refined.labels >= 0], minlength=k)
    for neuron in np.flatnonzero(refined.labels >= 0):
        old = refined.labels[neuron]
        if sizes[old] == 1:
            continue
        for new in np.flatnonzero(sizes):
            tried = refined.labels.copy()
            tried[neuron] = new
            assert naive_ncut_fast(adjacency, tried) >= refined.refined_ncut - local
    return refined


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("name", AWKWARD)
def test_a_local_optimum_never_worse(name, k):
    flat = AWKWARD[name].flat_strengths().float()  # as every graph that is measured
    graph = AWKWARD[name].with_flat_strengths(flat)
    check(graph, random_labels(graph, k), k)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 1), (1, 2)],
        TRIANGLE,
        [(0, 1), (1, 0), (2, 1)],
        [(0, 0)],
        [(0, 0), (0, 1), (1, 1), (1, 1)],
    ],
)
def test_equals_the_naive_search(pairs, seed):
    graph = joined([8, 7, 6], pairs, seed, density=0.5)
    labels = random_labels(graph, 4, seed)
    expected, ncut = naive_refinement(graph, labels, 4)
    refined = run(graph, labels, 4)
    assert np.array_equal(refined.labels, expected)
    assert refined.refined_ncut == pytest.approx(ncut, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    density=st.floats(0.1, 1),
    k=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_small_chain(sizes, density, k, seed):
    graph = random_chain(sizes, seed, density)
    if float(graph.degrees().sum()) > 0:
        check(graph, random_labels(graph, k, seed), k)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    n_neurons=st.integers(3, 12),
    density=st.floats(0.2, 1),
    k=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_small_graph_without_layers(n_neurons, density, k, seed):
    graph = joined([n_neurons], [(0, 0)], seed, density)
    if float(graph.degrees().sum()) > 0:
        check(graph, random_labels(graph, k, seed), k)


def test_finds_separate_parts_from_a_few_wrong_labels():
    graph = side_by_side(3, 8)
    truth = np.tile(np.repeat(np.arange(3), 8), 3).astype(np.int32)
    labels = truth.copy()
    labels[::9] = (labels[::9] + 1) % 3
    refined = run(graph, labels, 3)
    assert np.array_equal(refined.labels, truth)
    assert refined.refined_ncut == pytest.approx(0, abs=1e-12)


def test_a_cluster_of_one_neuron_stays():
    graph = random_chain([6, 5])
    labels = np.zeros(11, np.int32)
    labels[4] = 1
    assert set(check(graph, labels, 2).labels.tolist()) == {0, 1}


def test_labels_that_are_never_used_count_nothing():
    graph = random_chain([6, 5])
    labels = (2 * (np.arange(11) % 2)).astype(np.int32)
    refined = check(graph, labels, 7)
    assert refined.ncut <= 2


def test_every_neuron_a_cluster_of_its_own():
    graph = random_chain([4, 3])
    labels = np.arange(7, dtype=np.int32)
    refined = check(graph, labels, 7)
    assert np.array_equal(refined.labels, labels)
    assert refined.ncut == pytest.approx(7)


def test_one_cluster():
    graph = random_chain([4, 3])
    refined = check(graph, np.zeros(7, np.int32), 1)
    assert refined.ncut == refined.refined_ncut == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_strengths_of_very_uneven_scales(seed):
    graph = uneven([8, 9, 7], seed)
    check(graph, random_labels(graph, 4, seed), 4)


def test_a_neuron_next_to_which_the_rest_of_its_cluster_vanishes():
    """Taking the large neuron out leaves a volume that is 0 in float64, though it is not."""
    graph = chain_of([[1e6, 1e6, 0.0], [0.0, 1e-13, 1e-13]])
    labels = np.array([0, 0, 1, 1, 1], np.int32)
    refined = run(graph, labels, 2)
    assert 0 <= refined.refined_ncut <= refined.ncut <= 2
    assert set(refined.labels.tolist()) == {0, 1}


def run_from(graph, starts, k):
    degrees = graph.degrees(torch.float64).numpy()
    return refine_from(pack(graph), degrees, starts, k)


@pytest.mark.parametrize("seed", range(6))
def test_the_lowest_of_several_starts_counts(seed):
    graph = random_chain([14, 12, 9], seed, 0.4)
    starts = [random_labels(graph, 4, 10 * seed + i) for i in range(3)]
    alone = [run(graph, labels, 4) for labels in starts]
    best = min(alone, key=lambda refined: refined.refined_ncut)
    found = run_from(graph, starts, 4)
    assert found.ncut == alone[0].ncut
    assert found.refined_ncut == best.refined_ncut
    pairs = set(zip(found.labels.tolist(), best.labels.tolist(), strict=True))
    assert len(pairs) == len(set(found.labels.tolist()))
    assert found.labels.dtype == np.int32


def test_clusters_keep_the_numbers_of_the_first_start():
    """The first is a bad minimum; the other's clusters get the numbers of those they overlap."""
    graph = triangles_and_weak_neurons()
    first = np.array([0, 0, 0, 0, 0, 0, 2, 1, 0], np.int32)
    other = np.array([2, 2, 2, 1, 1, 1, 0, 0, 1], np.int32)
    found = run_from(graph, [first, other], 3)
    assert run(graph, first, 3).refined_ncut > 2
    assert found.refined_ncut == run(graph, other, 3).refined_ncut
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 1]


def test_uncompiled_loops_add_up_in_float64_too():
    large = 2.0**24  # beyond it, float32 has no odd numbers
    packed = pack(NeuronGraph.chain([torch.tensor([[large, 1.0, 1.0, 1.0]])]))
    add_up = getattr(sums._inside, "py_func", sums._inside)
    labels, degrees = np.zeros(5, np.int32), np.array([large + 3, large, 1, 1, 1])
    _, inside = add_up(packed.strengths, packed.table, degrees, labels, 1)
    assert inside.tolist() == [2 * (large + 3)]
