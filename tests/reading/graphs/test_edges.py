import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.reading.graphs import edges as module
from clusterability.reading.graphs.edges import EdgeList, check_layers, graph_of_edges
from graphs import naive_adjacency


def edge_list(n_nodes, *edges, layers=None, nodes=None):
    rows, columns, weights = (np.array(part) for part in zip(*edges, strict=True))
    ends = rows.astype(np.int64), columns.astype(np.int64)
    return EdgeList(nodes or range(n_nodes), *ends, weights.astype(np.float64), layers)


def random_edges(n_nodes, n_edges, seed, layers=None):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, n_nodes, n_edges)
    columns = (rows + rng.integers(1, n_nodes, n_edges)) % n_nodes
    return EdgeList(range(n_nodes), rows, columns, rng.random(n_edges), layers)


def naive(edges):
    """The adjacency matrix in the order in which the nodes were listed."""
    n_nodes = len(edges.nodes)
    adjacency = np.zeros((n_nodes, n_nodes))
    for row, column, weight in zip(edges.rows, edges.columns, edges.weights, strict=True):
        adjacency[row, column] += weight
        adjacency[column, row] += weight
    return adjacency


@pytest.mark.parametrize("seed", range(5))
def test_without_layers_all_is_one_block(seed):
    edges = random_edges(12, 40, seed)
    graph = graph_of_edges(edges)
    assert [(layer.name, layer.n_neurons) for layer in graph.layers] == [("nodes", 12)]
    np.testing.assert_allclose(naive_adjacency(graph), naive(edges))
    graph.check_strengths()


@pytest.mark.parametrize("seed", range(5))
def test_with_layers_nodes_are_numbered_layer_by_layer(seed):
    layers = np.random.default_rng(seed).choice(["c", "a", "b"], 15).tolist()
    edges = random_edges(15, 60, seed, layers)
    graph = graph_of_edges(edges)
    names = list(dict.fromkeys(layers))
    assert [layer.name for layer in graph.layers] == names
    order = [i for name in names for i in range(15) if layers[i] == name]
    np.testing.assert_allclose(naive_adjacency(graph), naive(edges)[np.ix_(order, order)])
    assert all(block.source <= block.target for block in graph.blocks)
    graph.check_strengths()


def test_layers_that_no_edge_joins_have_no_block():
    graph = graph_of_edges(edge_list(4, (0, 1, 1.0), (2, 1, 2.0), layers=[0, 1, 2, 3]))
    assert [(block.source, block.target) for block in graph.blocks] == [(0, 1), (1, 2)]
    assert graph.layer_sizes == [1, 1, 1, 1]


def test_numbered_layers_come_in_order():
    graph = graph_of_edges(edge_list(3, (0, 1, 1.0), (1, 2, 1.0), layers=[10, 9, -1]))
    assert [layer.name for layer in graph.layers] == ["-1", "9", "10"]


def test_edges_between_the_same_nodes_add_up():
    graph = graph_of_edges(edge_list(3, (0, 1, 1.0), (1, 0, 2.0), (0, 1, 0.5), (1, 2, 1.0)))
    assert graph.degrees().tolist() == [3.5, 4.5, 1.0]


def test_edges_of_weight_zero_are_none():
    graph = graph_of_edges(edge_list(3, (0, 1, 1.0), (1, 2, 0.0), (2, 2, 0.0)))
    assert graph.degrees().tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("weight", "dtype"),
    [
        (0.5, torch.float32),
        (3.0, torch.float32),
        (0.1, torch.float64),
        (2.0**24 + 1, torch.float64),
        (1e300, torch.float64),
        (1e-300, torch.float64),
    ],
)
def test_no_weight_is_rounded(weight, dtype):
    graph = graph_of_edges(edge_list(2, (0, 1, weight)))
    assert graph.blocks[0].strengths.dtype == dtype
    assert graph.blocks[0].strengths[0, 1].item() == weight


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ((0, 1, -0.5), "edge between 'a' and 'b' has the weight -0.5, which is negative"),
        ((0, 1, np.nan), "edge between 'a' and 'b' has the weight nan, which is not finite"),
        ((1, 0, np.inf), "edge between 'b' and 'a' has the weight inf, which is not finite"),
        ((1, 1, 2.0), "node 'b' is joined to itself.*diagonal of the matrix to 0"),
        ((0, 1, 0.0), "no edges of positive weight"),
    ],
)
def test_edges_that_cannot_be_measured_are_refused(edge, message):
    with pytest.raises(InputError, match=message):
        graph_of_edges(edge_list(2, edge, nodes=["a", "b"]))


def test_no_nodes_and_no_edges_are_refused():
    nothing = np.zeros(0, np.int64)
    with pytest.raises(InputError, match="has no nodes"):
        graph_of_edges(EdgeList([], nothing, nothing, nothing.astype(float)))
    with pytest.raises(InputError, match="no edges of positive weight"):
        graph_of_edges(EdgeList(["a"], nothing, nothing, nothing.astype(float)))


def test_sums_that_overflow_are_refused():
    with pytest.raises(InputError, match="overflow"), np.errstate(over="ignore"):
        graph_of_edges(edge_list(2, (0, 1, 1.7e308), (0, 1, 1.7e308)))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_taken(monkeypatch):
    n_nodes = 10**6
    with pytest.raises(InputError) as caught:
        graph_of_edges(edge_list(n_nodes, (0, 1, 1.0)))
    message = str(caught.value)
    assert message.startswith("the graph's 1,000,000 nodes take 5,000.0 GB as dense blocks, while ")
    with pytest.raises(InputError, match=r"take 9,000.0 GB as dense blocks, while its 1 edges are"):
        graph_of_edges(edge_list(n_nodes, (0, 1, 0.1)))
    assert message.endswith("of memory available; measure a part of it")
    monkeypatch.setattr(module, "available_memory", lambda: 100)
    layers = [0] * 5 + [1] * 5
    graph_of_edges(edge_list(10, (0, 9, 1.0), layers=layers))
    with pytest.raises(InputError, match=r"10 nodes take 0\.0 GB"):
        graph_of_edges(edge_list(10, (0, 9, 1.0), (0, 1, 1.0), layers=layers))
    monkeypatch.setattr(module, "available_memory", lambda: 300)
    with pytest.raises(InputError, match=r"GB as dense blocks, more than"):
        graph_of_edges(edge_list(20, (0, 19, 1.0), layers=[0] * 10 + [1] * 10))
    monkeypatch.setattr(module, "available_memory", lambda: None)
    graph_of_edges(edge_list(10, (0, 9, 1.0), (0, 1, 1.0), layers=layers))


def test_too_many_blocks_are_refused(monkeypatch):
    edges = [(i, j, 1.0) for i in range(5) for j in range(i)]
    graph_of_edges(edge_list(5, *edges, layers=list("abcde")))
    monkeypatch.setattr(module, "MAX_BLOCKS", 9)
    with pytest.raises(InputError, match="5 layers make 10 blocks, more than the 9"):
        graph_of_edges(edge_list(5, *edges, layers=list("abcde")))


def test_layers_become_those_of_python():
    checked = check_layers([np.int32(3), 4])
    assert checked == [3, 4]
    assert {type(layer) for layer in checked} == {int}
    assert {type(layer) for layer in check_layers([np.str_("a"), "b"])} == {str}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([1.5], "layer 1.5, expected a string or a whole number"),
        ([True], "layer True"),
        ([None], "layer None"),
        ([1, "a"], "strings for some nodes and whole numbers for others"),
    ],
)
def test_other_layers_are_refused(layers, message):
    with pytest.raises(InputError, match=message):
        check_layers(layers)


@pytest.mark.parametrize("weight", [1.0, 0.1])
@pytest.mark.parametrize("n_layers", [None, 5])
def test_the_memory_that_is_taken_is_what_is_counted(monkeypatch, weight, n_layers):
    counted = []
    monkeypatch.setattr(module, "_check_memory", lambda *sizes: counted.append(sizes[1]))
    listed = random_edges(1000, 100_000, 0, n_layers and [i % n_layers for i in range(1000)])
    listed = replace(listed, weights=np.full(100_000, weight))
    tracemalloc.start()
    try:
        graph = graph_of_edges(listed)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    support = sum(block.support.numel() for block in graph.blocks if block.support is not None)
    # With layers, the blocks are counted once the edges are there.
    expected = sum(counted) if n_layers else max(counted)
    assert 0.7 * expected < taken + support < expected
