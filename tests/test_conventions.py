"""Measurements under the sets of conventions, and with an offset to the volumes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.clustering.cut import normalized_cut
from clusterability.conventions import CONVENTIONS, Conventions, Starts
from clusterability.graph import NeuronGraph
from clusterability.registries import NULLS
from clusterability.workers import single_threaded_libraries
from graphs import joined, naive_adjacency, naive_ncut, random_chain
from measurements import check, numbers, run


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def test_starts_of_kmeans_by_the_number_of_live_neurons(monkeypatch):
    few = Conventions(starts=Starts(3, 7, many_above=18))
    monkeypatch.setitem(CONVENTIONS, "few", few)
    options = {"n_init": None, "n_shuffles": 0, "conventions": "few"}
    seen = [run(random_chain(sizes), **options) for sizes in ([10, 8], [10, 9])]
    assert [result.n_init for result in seen] == [3, 7]
    assert [result.settings.n_init for result in seen] == [None, None]
    assert seen[0].n_init_policy == "3 up to 18 neurons, 7 above"
    lonely = torch.cat([random_chain([10, 8]).blocks[0].strengths, torch.zeros(9, 8)])
    assert run(NeuronGraph.chain([lonely]), **options).n_init == 3


@pytest.mark.slow
def test_the_papers_starts_are_those_of_imagenet_for_a_thousand_outputs():
    options = {"n_init": None, "n_shuffles": 0, "conventions": "paper"}
    models = [
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, n_outputs))
        for n_outputs in (10, 1000)
    ]
    assert [run(model, **options).n_init for model in models] == [10, 100]
    # Weights alone do not tell what comes out.
    assert run(models[1].state_dict(), **options).n_init == 10


def with_a_weak_corner(scale=1.0, dtype=torch.float32):
    """Two planted clusters, and three neurons whose connections are 1e-12 of the others'."""
    blocks = [torch.full((9, 9), 0.01, dtype=dtype), torch.full((9, 9), 0.01, dtype=dtype)]
    for block in blocks:
        for part, strength in ((slice(0, 4), 1.0), (slice(4, 8), 0.5)):
            block[part, part] = strength
        block[8], block[:, 8] = 0, 0
        block[8, 8], block[8, 7] = 1e-12, 1e-12
    return NeuronGraph.chain([scale * block for block in blocks])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "dtype"), [(1.0, torch.float32), (1e30, torch.float64), (1e-25, torch.float64)]
)
def test_with_an_offset_a_cluster_of_tiny_volume_counts_nothing(scale, dtype):
    graph = with_a_weak_corner(scale, dtype)
    options = {"n_clusters": 3, "n_shuffles": 3, "seed": 1}
    plain = run(graph, **options)
    offset = run(graph, volume_offset=1e-8 * scale, **options)
    for name in ("plain", "refined"):
        one, other = getattr(plain, name), getattr(offset, name)
        assert np.array_equal(one.labels, other.labels)
        assert other.ncut == pytest.approx(sum(cluster.cut for cluster in other.clusters))
        naive = naive_adjacency(graph)
        expected = naive_ncut(naive, other.labels, 1e-8 * scale)
        assert other.ncut == pytest.approx(expected, abs=1e-6)
        in_torch = normalized_cut(graph, other.labels, volume_offset=1e-8 * scale)
        assert float(in_torch) == pytest.approx(expected, abs=1e-9)
    tiny = [i for i, cluster in enumerate(plain.clusters) if cluster.volume_share < 1e-10]
    lost = sum(plain.clusters[i].cut for i in tiny)
    assert lost > 0.9
    assert all(offset.clusters[i].cut < 1e-3 for i in tiny)
    assert plain.ncut - offset.ncut == pytest.approx(lost, abs=1e-3)
    assert offset.lower_bound == plain.lower_bound
    warning = f"the volume of {len(tiny)} of 3 clusters is below volume_offset"
    assert any(warning in text for text in offset.warnings)


def test_an_offset_changes_the_n_cuts_of_shuffles_too_and_nothing_else():
    plain, offset = run(seed=3), run(seed=3, volume_offset=20.0)
    for name in ("plain", "refined"):
        one, other = getattr(plain, name), getattr(offset, name)
        assert np.array_equal(one.labels, other.labels)
        assert all(a > b > 0 for a, b in zip(one.null.values, other.null.values, strict=True))
    assert numbers(run(seed=3, volume_offset=0.0)) == numbers(plain)


@pytest.mark.slow
@pytest.mark.parametrize("conventions", CONVENTIONS)
@pytest.mark.parametrize("null", NULLS)
def test_sparse_copies_under_all_conventions(conventions, null):
    """Skips whose copies lose different neurons, and whose shuffles lose others again."""
    copies = joined([14, 12, 12, 12], [(0, 1), (0, 2), (0, 3), (2, 3)], seed=5, density=0.07)
    first = copies.blocks[0].strengths
    scales = torch.tensor(np.random.default_rng(0).random((2, 12)) * ([1, 0] * 6)).float()
    strengths = [first, first * scales[0], first * scales[1], copies.blocks[3].strengths]
    blocks = tuple(
        replace(b, strengths=s, kernel="conv" if i < 3 else None)
        for i, (b, s) in enumerate(zip(copies.blocks, strengths, strict=True))
    )
    graph = replace(copies, blocks=blocks)
    n_live = int((graph.degrees() > 0).sum())
    assert n_live < graph.n_neurons
    for n_clusters in (2, n_live):
        check(run(graph, n_clusters, conventions=conventions, null=null))
