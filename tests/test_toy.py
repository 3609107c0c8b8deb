"""Each toy is the graph that its docstring says."""

import numpy as np
import pytest
import torch

import clusterability
from clusterability import neuron_graph, normalized_cut, toy
from clusterability.graph.packed import count_components, pack
from graphs import naive_adjacency, naive_ncut

# Neurons, components, and whether the layers are two-colorable.
FACTS = {
    "path": (toy.path(), 4, 1, True),
    "longer path": (toy.path(7), 7, 1, True),
    "star": (toy.star(), 7, 1, True),
    "matching": (toy.matching(), 6, 3, True),
    "two triangles": (toy.two_triangles(), 6, 1, False),
    "barbell": (toy.barbell(), 8, 1, False),
    "planted MLP": (toy.planted_mlp(), 14, 1, True),
    "two components": (toy.planted_mlp(between=0.0), 14, 2, True),
    "planted triangle": (toy.planted_triangle(), 12, 1, False),
    "residual chain": (toy.residual_chain(), 28, 1, True),
    "isolated": (toy.chain_with_isolated(), 7, 1, True),
    "grouped convolutions": (toy.grouped_convolutions(), 27, 1, False),
    "residual MLP": (neuron_graph(toy.ResidualMLP()), 28, 1, True),
    "planted CNN": (neuron_graph(toy.planted_cnn()), 14, 1, True),
}
PLANTED = ("planted MLP", "planted triangle", "residual chain", "residual MLP", "planted CNN")


@pytest.mark.parametrize("name", FACTS)
def test_facts(name):
    graph, n_neurons, n_components, two_colorable = FACTS[name]
    graph.check_strengths()
    assert graph.n_neurons == n_neurons
    assert count_components(pack(graph)) == n_components
    assert (graph.two_coloring() is not None) == two_colorable


@pytest.mark.parametrize("name", PLANTED)
def test_planted_groups_have_the_n_cut_that_is_said(name):
    graph = FACTS[name][0]
    labels = np.arange(graph.n_neurons) % 2
    expected = 2 * toy.BETWEEN / (1 + toy.BETWEEN)
    assert normalized_cut(graph, labels).item() == pytest.approx(expected, rel=1e-6)
    assert naive_ncut(naive_adjacency(graph), labels) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_barbell_has_two_cliques_and_one_edge_more(size):
    adjacency = naive_adjacency(toy.barbell(size))
    for half in (slice(None, size), slice(size, None)):
        assert np.array_equal(adjacency[half, half], 1 - np.eye(size))
    assert adjacency[:size, size:].sum() == adjacency[size - 1, size] == 1


def test_one_neuron_is_isolated():
    assert (toy.chain_with_isolated().degrees() == 0).nonzero().flatten().tolist() == [4]


@pytest.mark.parametrize("n_blocks", [1, 2, 4])
def test_the_residual_chain_is_the_graph_of_the_module(n_blocks):
    chain, traced = toy.residual_chain(6, n_blocks), neuron_graph(toy.ResidualMLP(6, n_blocks))
    assert chain.layer_sizes == traced.layer_sizes
    for ours, theirs in zip(chain.blocks, traced.blocks, strict=True):
        assert (ours.source, ours.target) == (theirs.source, theirs.target)
        assert torch.equal(ours.strengths, theirs.strengths)
    assert copies(chain) == copies(traced)


def copies(graph):
    """For each block the first with the same kernel."""
    kernels = [block.kernel or i for i, block in enumerate(graph.blocks)]
    return [kernels.index(kernel) for kernel in kernels]


def test_modules_run():
    assert toy.ResidualMLP()(torch.ones(2, 4)).shape == (2, 4)
    assert toy.planted_cnn((3, 4, 2))(torch.ones(2, 3, 5, 5)).shape == (2, 2)


def test_the_module_is_found_in_the_package():
    assert clusterability.toy is toy
    assert clusterability.__getattr__("toy") is toy
