import json

import networkx
import numpy as np
import pytest

from clusterability.errors import InputError
from clusterability.reading.graphs import graph_from_networkx, read_graph
from graphs import AWKWARD

NODES = [{"id": 0}, {"id": 1}]


def text(**changed):
    data = {
        "directed": False,
        "multigraph": False,
        "graph": {},
        "nodes": NODES,
        "links": [{"source": 0, "target": 1}],
        **changed,
    }
    return json.dumps(data)


def link(**data):
    return text(links=[{"source": 0, "target": 1, **data}])


@pytest.fixture
def read(tmp_path):
    def read_text(content):
        path = tmp_path / "graph.json"
        path.write_text(content)
        return read_graph(path)

    return read_text


@pytest.mark.slow
@pytest.mark.parametrize("key", ["edges", "links"])
@pytest.mark.parametrize("name", AWKWARD)
def test_what_networkx_writes_comes_back(name, key, read):
    graph = AWKWARD[name]
    drawn = graph.to_networkx()
    for again in (
        graph_from_networkx(drawn),
        read(json.dumps(networkx.node_link_data(drawn, edges=key))),
    ):
        assert again.layers == graph.layers
        assert (again.to_scipy() != graph.to_scipy()).nnz == 0


def test_nodes_of_a_grid_and_parallel_edges(read):
    drawn = networkx.MultiGraph(networkx.grid_2d_graph(3, 3))
    drawn.add_edge((0, 0), (0, 1), weight=2.5)
    expected = networkx.to_numpy_array(drawn)
    data = json.dumps(networkx.node_link_data(drawn, edges="edges"))
    for graph in (graph_from_networkx(drawn), read(data)):
        np.testing.assert_array_equal(graph.to_scipy().toarray(), expected)


def test_numbers_of_numpy_and_views_of_networkx():
    drawn = networkx.path_graph(4)
    networkx.set_node_attributes(drawn, {i: np.int64(i // 2) for i in drawn}, "layer")
    networkx.set_edge_attributes(drawn, np.float32(0.5), "weight")
    graph = graph_from_networkx(drawn.subgraph([0, 1, 2]))
    assert graph.degrees().tolist() == [0.5, 1.0, 0.5]
    assert [layer.n_neurons for layer in graph.layers] == [2, 1]


def test_directed_graphs_of_networkx_are_refused():
    for kind in (networkx.DiGraph, networkx.MultiDiGraph):
        with pytest.raises(InputError, match=r"directed.*to_undirected"):
            graph_from_networkx(kind([(0, 1)]))
    with pytest.raises(InputError, match="no nodes"):
        graph_from_networkx(networkx.Graph())
    with pytest.raises(InputError, match="'1' is joined to itself"):
        graph_from_networkx(networkx.Graph([(0, 1), (1, 1)]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "JSON is a list, expected an object"),
        ("3", "JSON is a int"),
        (text(directed=True), "graph is directed"),
        (text(directed="no"), "graph is directed"),
        (text(edges=[]), "either 'edges' or 'links'"),
        (json.dumps({"nodes": NODES}), r"it has \['nodes'\]"),
        (json.dumps({"schema_version": 1}), r"it has \['schema_version'\]"),
        (text(nodes=3), "'nodes' must be a list of objects"),
        (text(nodes=[3]), "'nodes' must be a list of objects"),
        (text(links={}), "'links' must be a list of objects"),
        (text(nodes=[{}]), "in 'nodes' has no 'id'"),
        (text(nodes=[{"id": {}}]), "is no id of a node"),
        (text(nodes=[{"id": None}]), "is no id of a node"),
        (text(nodes=[{"id": [[{}]]}]), "is no id of a node"),
        (text(nodes=NODES + NODES), "two nodes have the id '0'"),
        (text(links=[{"source": 0, "target": 7}]), "names the node '7', which is not listed"),
        (text(links=[{"target": 1}]), "in 'links' has no 'source'"),
        (link(weight="3"), "the weight '3', expected a number"),
        (link(weight=None), "the weight None, expected a number"),
        (link(weight=True), "the weight True, expected a number"),
        (link(weight=[1]), r"the weight \[1\], expected a number"),
        (link(weight=float("nan")), "which is not finite"),
        (link(weight=10**400), "which is not finite"),
        (link(weight=-1), "which is negative"),
        (link(weight=0), "no edges of positive weight"),
        (text(nodes=[], links=[]), "no nodes"),
        (text(nodes=[{"id": 0, "layer": "a"}, {"id": 1}]), "node '1' has no layer"),
        (text(nodes=[{"id": 0, "layer": 1.5}, {"id": 1, "layer": 2}]), "the layer 1.5"),
        (text(nodes=[{"id": 0, "layer": "a"}, {"id": 1, "layer": 2}]), "strings for some"),
        ("[" * 100_000, "truncated, corrupt"),
        ('{"nodes": [{"id": ' + "9" * 5000 + "}]}", "truncated, corrupt"),
        (text()[:-9], "truncated, corrupt"),
        ("\x00", "truncated, corrupt"),
        ("<html></html>", "is a web page"),
    ],
)
def test_other_files_are_refused(read, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert "graph.json" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [lambda i: i, lambda i: [i], lambda i: -i])
def test_ids_that_hash_alike_are_read_in_time(tmp_path, wrap):
    """Multiples of 2^61 - 1 all hash to 0: 20,000 of them took minutes."""
    ids = [wrap(i * (2**61 - 1)) for i in range(1, 20_001)]
    layers = [{"id": node, "layer": i % 50} for i, node in enumerate(ids)]
    links = [{"source": ids[0], "target": ids[51]}]
    (tmp_path / "graph.json").write_text(text(nodes=layers, links=links))
    graph = read_graph(tmp_path / "graph.json")
    assert graph.n_neurons == 20_000
    assert float(graph.blocks[0].strengths.sum()) == 1


def test_layers_that_hash_alike_are_refused(tmp_path):
    nodes = [{"id": i, "layer": i * (2**61 - 1)} for i in range(3)]
    (tmp_path / "graph.json").write_text(text(nodes=nodes))
    with pytest.raises(InputError, match=r"has the layer 2305843009213693951, expected .* 2\^60"):
        read_graph(tmp_path / "graph.json")
