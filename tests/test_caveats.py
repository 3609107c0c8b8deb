import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import measure
from clusterability.caveats import block_totals, caveats, layer_eigenvalues
from clusterability.graph import NeuronGraph
from graphs import AWKWARD, naive_adjacency, random_chain, side_by_side
from results import planted, small_result


def run(graph, n_clusters, n_shuffles=0, **options):
    return measure(graph, n_clusters, n_shuffles, device="cpu", workers=1, n_init=5, **options)


def of(words, result):
    found = [text for text in caveats(result) if words in text]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.slow
def test_a_plain_network_has_none():
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 20), nn.Linear(20, 15))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    assert caveats(run(network, 5, 3)) == []
    assert caveats(run(network, 5, 3, conventions="published")) == []


def test_isolated_neurons_are_counted_and_drop_first_warned_of():
    graph = AWKWARD["isolated"]
    assert of("no connection", run(graph, 3, 2)).endswith("have no connection and are left out")
    assert "makes small p-values too common" in of("no", run(graph, 3, 2, isolated="drop-first"))
    bare = run(graph, 3, isolated="drop-first")
    assert "p-values" not in of("no connection", bare)


def test_shuffles_that_are_all_alike():
    values = [1.0, 1.0 + 5e-7, 1.0 + 9e-7]
    words = "shuffles have the same"
    assert of(words, small_result(null=values)).startswith(
        "all 3 shuffles have the same n-cut and the same refined n-cut, as where"
    )
    assert "same n-cut, as" in of(words, small_result(null=values, refined_null=[0.5, 1.0, 1.0]))
    assert "same refined" in of(words, small_result(null=[0.5, 1.0, 1.0], refined_null=values))
    assert of(words, small_result(null=[1.0, 1.0, 1.0 + 2e-6])) is None
    assert of(words, small_result(null=[1.0])) is None
    assert of(words, small_result()) is None


def test_a_deep_narrow_network_whose_clusters_are_layers():
    result = run(random_chain([16] * 20), 4, 5)
    assert of("shuffles have the same", result) is not None
    assert re.match(r"\d+ of 20 layers lie whole in one cluster", of("lie whole", result))


def test_most_layers_are_more_than_half_of_those_that_could_be_divided():
    words = "layers lie whole in one cluster"
    graph = random_chain([3, 3, 3, 3])
    layers = np.repeat(np.arange(4), 3)

    def labeled(labels):
        result = run(graph, 4)
        return replace(result, plain=replace(result.plain, labels=np.array(labels)))

    assert of(words, labeled(layers)).startswith("4 of 4 layers")
    assert of(words, labeled([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3])).startswith("3 of 4 layers")
    assert of(words, labeled([0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 2, 3])) is None
    # Isolated neurons, and layers with one other, do not count.
    isolated = [0, 0, -1, -1, -1, 0, 1, 1, 1, 2, 3, 3]
    assert of(words, labeled(isolated)).startswith("2 of 3 layers")
    assert of(words, run(AWKWARD["one layer"], 3)) is None


def test_another_number_of_clusters_that_stands_out():
    graph, _ = planted([60, 50, 40], 4, noise=0.05, density=0.4)
    words = "largest gap after number"
    assert re.match(
        r"the eigenvalues have their largest gap after number 4 \(0\.\d{3}; 0\.\d{3} after number "
        r"12\): 4 clusters stand out, and n_clusters=12 divides some of them$",
        of(words, run(graph, 12)),
    )
    assert of(words, run(graph, 4)) is None
    assert of(words, run(graph, 5)) is None  # not far from it
    assert of(words, run(graph, 2)).endswith("n_clusters=2 joins some of them")


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[60, 50], [80, 60, 40, 20, 10], [16] * 20, [200, 10]])
@pytest.mark.parametrize("n_clusters", [3, 7, 12])
def test_random_networks_have_no_gap_but_those_of_their_layers(sizes, n_clusters):
    for density in (0.3, 1.0):
        result = run(random_chain(sizes, 1, density), n_clusters)
        assert of("largest gap after number", result) is None


def test_separate_parts_are_told_of_once():
    result = run(side_by_side(3, 10), 6)
    assert of("falls into 3 parts", result) is not None
    assert of("largest gap after number", result) is None


@pytest.mark.parametrize("name", [name for name in AWKWARD if name != "1 x 1"])
def test_eigenvalues_of_the_layers_are_those_of_the_summed_graph(name):
    graph = AWKWARD[name]
    adjacency = naive_adjacency(graph)
    offsets = graph.offsets[:-1]
    summed = np.add.reduceat(np.add.reduceat(adjacency, offsets, axis=0), offsets, axis=1)
    summed = summed[summed.sum(1) > 0][:, summed.sum(1) > 0]
    laplacian = np.eye(len(summed)) - summed / summed.sum(1)[:, None]
    expected = np.sort(np.linalg.eigvals(laplacian).real)
    found = layer_eigenvalues(graph, block_totals(graph))
    assert found == pytest.approx(expected, abs=1e-5)
    alive = adjacency.sum(1) > 0
    kept = adjacency[alive][:, alive]
    of_neurons = np.sort(np.linalg.eigvals(np.eye(len(kept)) - kept / kept.sum(1)[:, None]).real)
    assert (of_neurons[: len(found)] <= found + 1e-6).all()


def test_clusters_that_an_offset_makes_vanish():
    strengths = torch.eye(6) + 0.01
    strengths[5], strengths[:, 5] = 0, 0
    strengths[5, 4] = strengths[4, 5] = 1e-6
    graph = NeuronGraph.chain([strengths, strengths])
    words = "below volume_offset"
    result = run(graph, 6, volume_offset=1e-3)
    plain = run(graph, 6)
    assert of(words, plain) is None
    assert of(words, result).endswith(f"without it the n-cut is {plain.ncut:.3f}")
    assert result.ncut < plain.ncut - 0.9
    assert of(words, run(graph, 2, volume_offset=1e-8)) is None


def with_one_large_part(n_small=5, size=40):
    """One large dense part, and pairs of neurons by themselves."""
    blocks = [torch.zeros(size + n_small, size + n_small) for _ in range(2)]
    for block in blocks:
        block[:size, :size] = 1
        block[range(size, size + n_small), range(size, size + n_small)] = 0.01
    return NeuronGraph.chain(blocks)


def test_a_low_n_cut_of_degenerate_clusters():
    result = run(with_one_large_part(), 6)
    assert result.effective_clusters < 1.2
    assert "clusters are worth 1.0 of equal size" in of("small groups come off", result)
    assert result.plain.smallest_share < 1e-4
    assert result.plain.n_paths == 6
    even = run(NeuronGraph.chain([torch.block_diag(*[torch.ones(4, 4)] * 4)] * 2), 4)
    assert of("small groups come off", even) is None
    assert "made so, validate_clusters tells" in of("parts with no connection", even)


def test_inputs_that_do_not_reach_outputs():
    first, second = torch.ones(6, 6), torch.ones(6, 6)
    first[:, 3:] = 0
    second[:3] = 0
    graph = NeuronGraph.chain([first, second])
    assert "does not depend on its inputs" in of("no path of non-zero", run(graph, 2))
    assert run(graph, 2).plain.n_paths == 0
    deep = NeuronGraph.chain([torch.ones(4, 6), first, second, torch.ones(6, 3)])
    assert of("no path of non-zero", run(deep, 2, layers="hidden")).endswith("layer to its last")
    assert of("no path of non-zero", run(random_chain([6, 6, 6]), 2)) is None
