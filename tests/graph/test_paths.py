import networkx as nx
import pytest
import torch

from clusterability import NeuronGraph, toy
from clusterability.graph.blocks import Block, Layer
from clusterability.graph.paths import clusters_with_path


def naive_clusters_with_path(graph, labels, n_clusters):
    """Return which clusters have a path from the first layer to the last, found by networkx."""
    directed = nx.DiGraph()
    directed.add_nodes_from(range(graph.n_neurons))
    for block in graph.blocks:
        first = torch.tensor([graph.offsets[block.source], graph.offsets[block.target]])
        directed.add_edges_from((block.strengths.nonzero() + first).tolist())
    inputs, outputs = range(graph.offsets[1]), range(graph.offsets[-2], graph.n_neurons)
    found = []
    for cluster in range(n_clusters):
        part = directed.subgraph([i for i, c in enumerate(labels.tolist()) if c == cluster])
        ends = [(a, b) for a in part if a in inputs for b in part if b in outputs]
        found.append(any(nx.has_path(part, a, b) for a, b in ends))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_against_networkx(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes, k = (6, 7, 5, 6), 4
    strengths = [
        (torch.rand(a, b, generator=generator) < 0.35).float()
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    graph = NeuronGraph.chain(strengths)
    labels = torch.randint(-1, k, (sum(sizes),), generator=generator)
    expected = naive_clusters_with_path(graph, labels, k)
    assert clusters_with_path(graph, labels, k).tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_skips_loops_and_an_empty_layer_against_networkx(seed):
    """Blocks skip layers and lie within them; one layer has no neurons."""
    generator = torch.Generator().manual_seed(seed)
    sizes, k = (5, 6, 0, 6, 4), 3
    pairs = ((0, 1), (1, 1), (1, 3), (0, 3), (3, 4))

    def draw(source, target):
        drawn = (torch.rand(sizes[source], sizes[target], generator=generator) < 0.3).float()
        return drawn.triu(1) if source == target else drawn

    layers = tuple(Layer(str(i), size) for i, size in enumerate(sizes))
    graph = NeuronGraph(layers, tuple(Block(s, t, draw(s, t)) for s, t in pairs))
    labels = torch.randint(-1, k, (sum(sizes),), generator=generator)
    expected = naive_clusters_with_path(graph, labels, k)
    assert clusters_with_path(graph, labels, k).tolist() == expected


def test_skips_and_graphs_without_ends():
    graph = toy.residual_chain()
    assert clusters_with_path(graph, torch.arange(28) % 2, 2).tolist() == [True, True]
    assert clusters_with_path(toy.two_triangles(), torch.arange(6) % 2, 2) is None
