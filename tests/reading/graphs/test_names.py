"""Names of a graph's nodes are kept, from the file to the tables."""

import csv
import io
import json

import networkx
import numpy as np
import pytest
import scipy.sparse

from clusterability import Clusterability, measure
from clusterability.errors import InputError
from clusterability.reading.graphs import graph_from_networkx, read_graph
from clusterability.report.frames import neurons
from clusterability.report.labels import labels_csv


def friends():
    """Two triangles, joined, and one node that nobody knows; layers take turns."""
    graph = networkx.Graph([("Ann", "Bob"), ("Bob", "Cy"), ("Ann", "Cy"), ("Cy", "=Di")])
    graph.add_edges_from([("=Di", "Ed"), ("Ed", "Flo"), ("Flo", "=Di")], weight=2.0)
    graph.add_node("Gus")
    return graph


NAMES = ("Ann", "Bob", "Cy", "=Di", "Ed", "Flo", "Gus")


def written(graph, path):
    if path.suffix == ".graphml":
        networkx.write_graphml(graph, path)
    else:
        path.write_text(json.dumps(networkx.node_link_data(graph, edges="edges")))
    return read_graph(path)


@pytest.mark.parametrize("name", ["graph.graphml", "graph.json"])
def test_the_names_are_the_nodes(tmp_path, name):
    (layer,) = written(friends(), tmp_path / name).layers
    assert layer.neurons == NAMES
    assert graph_from_networkx(friends()).layers == (layer,)


def test_each_layer_has_those_of_its_nodes():
    graph = friends()
    for i, node in enumerate(graph):
        graph.nodes[node]["layer"] = i % 2
    first, second = graph_from_networkx(graph).layers
    assert (first.neurons, second.neurons) == (NAMES[::2], NAMES[1::2])
    drawn = graph_from_networkx(graph).to_networkx()
    assert [drawn.nodes[i]["name"] for i in range(7)] == [*NAMES[::2], *NAMES[1::2]]


def test_numbers_are_no_names():
    assert graph_from_networkx(networkx.path_graph(3)).layers[0].neurons is None
    assert graph_from_networkx(networkx.Graph([(5, 6)])).layers[0].neurons == ("5", "6")
    matrix = scipy.sparse.csr_array(np.ones((3, 3)) - np.eye(3))
    found = measure(matrix, n_clusters=2, n_shuffles=0)
    assert found.layers[0].neurons is None
    assert "neurons" not in found.to_dict()["layers"][0]
    assert labels_csv(found).startswith("layer,neuron,cluster\n")


@pytest.mark.parametrize("isolated", ["drop-first", "drop-after"])
def test_in_the_tables_and_in_json(isolated):
    result = measure(friends(), n_clusters=2, n_shuffles=2, isolated=isolated)
    rows = {row["name"]: row["cluster"] for row in neurons(result)}
    assert list(rows) == list(NAMES)
    assert rows["Ann"] == rows["Bob"] == rows["Cy"] != rows["=Di"] == rows["Ed"] == rows["Flo"]
    assert rows["Gus"] is None
    table = list(csv.DictReader(io.StringIO(labels_csv(result))))
    assert [row["name"] for row in table] == ["'=Di" if n == "=Di" else n for n in NAMES]
    assert [row["cluster"] for row in table][-1] == ""
    again = Clusterability.from_json(result.to_json())
    assert again.layers == result.layers
    data = result.to_dict()
    for wrong in (["Ann"], [*NAMES[1:], 5], "Ann Bob"):
        data["layers"][0]["neurons"] = wrong
        with pytest.raises(InputError, match="is no result"):
            Clusterability.from_json(json.dumps(data))


def test_beside_a_network_without_names():
    named = measure(friends(), n_clusters=2, n_shuffles=0)
    bare = measure(networkx.path_graph(4), n_clusters=2, n_shuffles=0)
    rows = list(csv.DictReader(io.StringIO(labels_csv([named, bare]))))
    assert [row["name"] for row in rows][-5:] == ["Gus", *(f"nodes[{i}]" for i in range(4))]
