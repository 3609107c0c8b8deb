"""Packages of extras are imported where they are used, and nowhere else."""

import subprocess
import sys

import pytest

CODE = """
import pathlib, sys, torch
sys.modules["networkx"] = None
from clusterability.reading.graphs import is_foreign_graph, read_graph
from clusterability.reading.keras.models import is_keras_model
from clusterability.reading.onnx import onnx_files
pathlib.Path("a.graphml").write_text('<graphml><graph edgedefault="undirected"><node id="a"/>'
    '<node id="b"/><edge source="a" target="b"/></graph></graphml>')
pathlib.Path("a.json").write_text('{"nodes": [{"id": 0}, {"id": 1}], '
    '"edges": [{"source": 0, "target": 1}]}')
assert not is_foreign_graph(3)
assert not is_keras_model(torch.nn.Linear(2, 2))
print(read_graph("a.graphml").n_neurons, read_graph("a.json").n_neurons)
print(*sorted({"keras", "onnx", "tensorflow"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_graphs_need_no_networkx_and_nothing_imports_keras_or_onnx(tmp_path):
    command = [sys.executable, "-c", CODE]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.split() == ["2", "2"]
