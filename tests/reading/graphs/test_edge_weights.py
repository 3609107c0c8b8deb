import json

import networkx
import numpy as np
import pytest
import scipy.sparse

from clusterability import measure
from clusterability.errors import InputError
from clusterability.reading.graphs import graph_from_networkx, graph_from_sparse, read_graph
from clusterability.sources import trace

WEIGHTS = {(0, 1): 5.0, (1, 2): 0.25, (2, 3): 5.0}
DEGREES = [5.0, 5.25, 5.25, 5.0]
KINDS = ["networkx", "json", "graphml"]


def drawn(*names):
    graph = networkx.Graph()
    for ends, weight in WEIGHTS.items():
        graph.add_edge(*ends, color="red", is_new=True, **dict.fromkeys(names, weight))
    return graph


@pytest.fixture
def given(tmp_path):
    def as_kind(graph, kind):
        if kind == "networkx":
            return graph
        path = tmp_path / f"graph.{kind}"
        if kind == "graphml":
            networkx.write_graphml(graph, path)
        else:
            path.write_text(json.dumps(networkx.node_link_data(graph, edges="links")))
        return path

    return as_kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["value", "weights", "Weight", "strength", "n\x1b"])
def test_a_weight_of_another_name_is_asked_about_and_taken(given, kind, name):
    if kind == "graphml" and name == "n\x1b":
        name = "n m"  # XML has no escapes
    network = given(drawn(name), kind)
    with pytest.raises(InputError, match="no edge has a 'weight', but there are the num") as caught:
        trace(network)
    assert f"--edge-weight {name.replace(chr(27), chr(92) + 'x1b')} on the" in str(caught.value)
    assert trace(network, edge_weight=name).graph.degrees().tolist() == DEGREES
    assert trace(network, edge_weight="weight").graph.degrees().tolist() == [1, 2, 2, 1]
    with pytest.raises(InputError, match=r"no edge has the attribute 'other'; name one of \['"):
        trace(network, edge_weight="other")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_number_is_no_weight(given, kind):
    network = given(drawn(), kind)
    assert trace(network).graph.degrees().tolist() == [1, 2, 2, 1]
    with pytest.raises(InputError, match="no edge has the attribute 'size'; leave edge_weight out"):
        trace(network, edge_weight="size")
    with pytest.raises(InputError, match="the color 'red'"):
        trace(network, edge_weight="color")


@pytest.mark.parametrize("kind", KINDS)
def test_where_one_edge_has_the_weight_the_others_count_one(given, kind):
    graph = drawn("value")
    graph.edges[0, 1]["weight"] = 3.0
    assert trace(given(graph, kind)).graph.degrees().tolist() == [3, 4, 2, 1]
    del graph.edges[1, 2]["value"]
    network = given(graph, kind)
    assert trace(network, edge_weight="value").graph.degrees().tolist() == [5, 6, 6, 5]


def test_numbers_that_tell_parallel_edges_apart_are_no_weights(given):
    graph = networkx.MultiGraph([(0, 1), (0, 1), (1, 2)])
    for kind in ("networkx", "json"):
        assert trace(given(graph, kind)).graph.degrees().tolist() == [2, 3, 1]


def test_other_numbers_of_graphml_need_not_be_right(tmp_path):
    keys = (
        '<key id="w" for="edge" attr.name="weight" attr.type="double"/>'
        '<key id="y" for="edge" attr.name="year" attr.type="int"><default>7</default></key>'
    )
    edge = '<edge source="a" target="b"><data key="w">2</data><data key="y">?</data></edge>'
    body = f'<graph edgedefault="undirected"><node id="a"/><node id="b"/>{edge}</graph>'
    (tmp_path / "a.graphml").write_text(f"<graphml>{keys}{body}</graphml>")
    assert read_graph(tmp_path / "a.graphml").degrees().tolist() == [2, 2]
    bare = body.replace('<data key="w">2</data>', "").replace('<data key="y">?</data>', "")
    (tmp_path / "b.graphml").write_text(f"<graphml>{keys}{bare}</graphml>")
    with pytest.raises(InputError, match=r"the numbers \['year'\]"):
        read_graph(tmp_path / "b.graphml")


def test_the_n_cut_is_that_of_the_named_weights(given):
    expected = networkx.to_scipy_sparse_array(drawn("strength"), weight="strength")
    choices = {"n_clusters": 2, "n_shuffles": 0}
    found = measure(given(drawn("strength"), "json"), edge_weight="strength", **choices)
    assert found.ncut == measure(graph_from_sparse(expected), **choices).ncut
    assert found.ncut == pytest.approx(2 * 0.25 / 10.25)


def test_the_name_is_for_edges_with_attributes_alone(tmp_path):
    matrix = networkx.to_scipy_sparse_array(drawn())
    np.savez(tmp_path / "net.npz", **{"fc.weight": np.ones((2, 3))})
    scipy.sparse.save_npz(tmp_path / "graph.npz", matrix)
    for network in (matrix, tmp_path / "graph.npz"):
        with pytest.raises(InputError, match="a sparse matrix holds weights alone; leave it out"):
            trace(network, edge_weight="value")
    with pytest.raises(InputError, match="edge_weight names an attribute of a graph's edges, but"):
        trace(tmp_path / "net.npz", edge_weight="value")
    with pytest.raises(InputError, match="edge_weight is 3, expected the name of one"):
        trace(drawn(), edge_weight=3)
    assert graph_from_networkx(drawn("value"), "value").degrees().tolist() == DEGREES
