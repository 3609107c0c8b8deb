import builtins
import csv
import io
from dataclasses import replace

import networkx
import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.graph.conversions import to_networkx, to_scipy
from clusterability.report.labels import labels_csv
from clusterability.shown import shown
from results import small_result


def twice_joined() -> NeuronGraph:
    """Three layers; the first two are joined by three blocks, one of them the other way round."""
    layers = (Layer("a", 2), Layer("b", 3), Layer("c", 1))
    rng = np.random.default_rng(0)
    blocks = (
        Block(0, 1, torch.tensor(rng.random((2, 3)))),
        Block(1, 0, torch.tensor(rng.random((3, 2)))),
        Block(0, 1, torch.tensor(rng.random((2, 3)))),
        Block(2, 0, torch.tensor([[0.0, 4.0]])),
    )
    return NeuronGraph(layers, blocks)


def test_blocks_between_the_same_layers_add_up():
    graph = twice_joined()
    adjacency = to_scipy(graph).toarray()
    strengths = [block.strengths.double().numpy() for block in graph.blocks]
    np.testing.assert_allclose(adjacency[:2, 2:5], strengths[0] + strengths[1].T + strengths[2])
    assert adjacency[1, 5] == 4
    assert np.array_equal(adjacency, adjacency.T)
    np.testing.assert_allclose(adjacency.sum(axis=1), graph.degrees().numpy())


def test_to_scipy_stores_no_zeros_and_keeps_isolated_neurons():
    graph = small_result().graph
    assert graph is not None
    adjacency = to_scipy(graph)
    assert adjacency.shape == (9, 9)
    assert adjacency.dtype == np.float64
    assert (adjacency.data > 0).all()
    assert adjacency[[6]].nnz == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_to_scipy_takes_any_float_and_live_parameters(dtype):
    strengths = torch.tensor([[0.5, 0.0]], dtype=dtype, requires_grad=True)
    assert to_scipy(NeuronGraph.chain([strengths])).toarray()[0].tolist() == [0, 0.5, 0]


def test_to_scipy_of_no_strengths():
    assert to_scipy(NeuronGraph.chain([torch.zeros(2, 2)])).nnz == 0


def test_networkx_agrees_on_normalized_cut():
    result = small_result()
    drawn = to_networkx(result.graph)
    assert list(drawn) == list(range(9))
    assert drawn.nodes[6] == {"layer": "hidden"}
    ncut = networkx.normalized_cut_size(
        drawn, *(np.flatnonzero(result.labels == c).tolist() for c in (0, 1)), weight="weight"
    )
    assert ncut == pytest.approx(result.ncut)


def test_missing_networkx_is_named(monkeypatch):
    original = builtins.__import__

    def without_networkx(name, *args, **kwargs):
        if name == "networkx":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_networkx)
    with pytest.raises(InputError, match="pip install networkx"):
        to_networkx(twice_joined())


def test_labels_csv_has_a_line_a_neuron():
    rows = list(csv.reader(io.StringIO(labels_csv(small_result()))))
    assert rows[0] == ["layer", "neuron", "cluster"]
    assert len(rows) == 10
    assert rows[1] == ["pixels", "0", "1"]
    assert rows[7] == ["hidden", "2", ""]


def test_labels_csv_can_be_the_refined():
    result = small_result()
    other = replace(result, refined=replace(result.refined, labels=np.zeros(9, dtype=np.int64)))
    assert labels_csv(other, refined=True).splitlines()[1] == "pixels,0,0"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "\\t=1"),
        ("a\r\nb", "a\\r\\nb"),
        ('a"b,c', 'a"b,c'),
        ("", ""),
        ("conv1", "conv1"),
    ],
)
def test_layer_names_are_harmless_in_a_spreadsheet(name, written):
    result = small_result()
    layers = (replace(result.layers[0], name=name), *result.layers[1:])
    rows = list(csv.reader(io.StringIO(labels_csv(replace(result, layers=layers)))))
    assert rows[1][0] == written
    assert len(rows) == 10


def test_labels_that_do_not_fit_are_refused():
    result = small_result()
    wrong = replace(result, plain=replace(result.plain, labels=np.zeros(3, dtype=np.int64)))
    with pytest.raises(InputError, match="3 labels for 9 neurons"):
        labels_csv(wrong)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("plain é", 60, "plain é"),
        ("\x1b[31m", 60, "\\x1b[31m"),
        ("a\u202eb\ud800", 60, "a\\u202eb\\ud800"),
        ("0123456789", 8, "012...89"),
        ("x" * 1000, 9, "xxx...xxx"),
    ],
)
def test_shown(text, limit, expected):
    assert shown(text, limit) == expected
