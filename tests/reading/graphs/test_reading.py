import networkx
import numpy as np
import pytest
import scipy.sparse as sp

from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.graphs import (
    is_foreign_graph,
    is_graph_file,
    read_foreign_graph,
    read_graph,
)
from clusterability.reading.graphs import reading as module


def test_graphs_and_weights_are_told_apart(tmp_path):
    names = ("a.graphml", "A.GraphML", "b.json", "c.safetensors.index.json", "d.pt", "e.npz")
    found = [is_graph_file(tmp_path / name) for name in names]
    assert found == [True, True, True, False, False, False]
    np.savez(tmp_path / "weights.npz", **{"fc.weight": np.ones((2, 3))})
    assert not is_graph_file(tmp_path / "weights.npz")
    sp.save_npz(tmp_path / "graph.npz", sp.eye_array(3))
    assert is_graph_file(str(tmp_path / "graph.npz"))


def test_objects_of_other_libraries():
    adjacency = networkx.to_scipy_sparse_array(networkx.path_graph(3))
    for network in (adjacency, sp.csc_matrix(adjacency), networkx.path_graph(3)):
        assert is_foreign_graph(network)
        assert read_foreign_graph(network).degrees().tolist() == [1, 2, 1]
    for network in (None, "graph.npz", {}, np.eye(3)):
        assert not is_foreign_graph(network)
    with pytest.raises(InputError, match="directed"):
        read_foreign_graph(networkx.DiGraph())


def test_missing_and_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_graph(tmp_path / "a.graphml")
    (tmp_path / "empty.json").touch()
    with pytest.raises(InputError, match="is empty"):
        read_graph(tmp_path / "empty.json")
    (tmp_path / "a.gexf").write_text("<gexf/>")
    with pytest.raises(InputError, match=r"suffix is '.gexf', expected .npz, .graphml or .json"):
        read_graph(tmp_path / "a.gexf")


def test_text_that_would_take_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("{" + " " * 1000 + "}")
    monkeypatch.setattr(memory, "available_memory", lambda: 5000)
    monkeypatch.setattr(module, "TEXT_EXPANSION", 10)
    with pytest.raises(InputError, match="memory available"):
        read_graph(tmp_path / "a.json")


def test_names_in_files_are_shown_harmlessly(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"nodes": [], "edges": [{"source": "\\u001b[2J", "target": 1}]}'
    )
    with pytest.raises(InputError) as caught:
        read_graph(tmp_path / "a.json")
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2J" in str(caught.value)
