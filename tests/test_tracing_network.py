import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.tracing import neuron_graph, trace


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


@pytest.fixture
def real():
    folder = os.environ.get("CLUSTERABILITY_NETWORKS")
    if not folder:
        pytest.skip("CLUSTERABILITY_NETWORKS names no folder of trained networks")
    return Path(folder)


def test_a_network_in_every_form_gives_the_same_graph(model, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(model.state_dict(), path)
    expected = neuron_graph(model)
    for network in (model, model.state_dict(), path, str(path), expected):
        graph = neuron_graph(network)
        assert [x.n_neurons for x in graph.layers] == [4, 3, 2]
        for block, other in zip(graph.blocks, expected.blocks, strict=True):
            assert torch.equal(block.strengths, other.strengths)


def test_names(model, tmp_path):
    np.savez(tmp_path / "net.npz", w=np.ones((2, 3)))
    assert trace(model).name == "Sequential"
    assert trace(model.state_dict()).name == "state dict"
    assert trace(tmp_path / "net.npz").name == "net.npz"
    assert trace(NeuronGraph.chain([torch.ones(2, 3)])).name == "graph"


def test_a_graph_is_returned_as_it_is():
    graph = NeuronGraph.chain([torch.ones(2, 3)])
    assert neuron_graph(graph) is graph


def test_a_file_gives_plain_strengths_and_a_module_live_ones(model, tmp_path):
    torch.save(dict(model.named_parameters()), tmp_path / "net.pt")
    assert neuron_graph(model).blocks[0].strengths.requires_grad
    assert not neuron_graph(tmp_path / "net.pt").blocks[0].strengths.requires_grad


@pytest.mark.parametrize("network", [3, None, [torch.ones(2, 2)], torch.ones(2, 2), nn.Linear])
def test_other_types_are_refused(network):
    with pytest.raises(InputError, match=f"of type {type(network).__name__} cannot be read"):
        trace(network)


def test_order_is_for_state_dicts(model):
    with pytest.raises(InputError, match="the network is a Sequential; leave it out"):
        trace(model, order=["0"])


def test_an_unknown_kernel_norm_is_refused_for_every_network(model):
    for network in (model, NeuronGraph.chain([torch.ones(2, 3)])):
        with pytest.raises(InputError, match="unknown kernel norm 'max'"):
            trace(network, kernel_norm="max")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"include": ("head",)}, "^cannot include 'head'"),
        ({"include": None}, "^include is None"),
        ({"order": 5}, "^order is 5"),
        ({"kernel_norm": None}, "^unknown kernel norm None"),
    ],
)
def test_bad_choices_are_refused_for_every_network(model, tmp_path, choice, message):
    np.savez(tmp_path / "net.npz", w=np.ones((2, 3)))
    graph = NeuronGraph.chain([torch.ones(2, 3)])
    for network in (model, model.state_dict(), tmp_path / "net.npz", graph):
        with pytest.raises(InputError, match=message):
            trace(network, **choice)


def test_wrappers_are_named_by_what_they_hold(model):
    compiled = nn.Module()
    compiled._orig_mod = model
    for wrapper in (compiled, nn.DataParallel(model)):
        assert trace(wrapper).name == "Sequential"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.array(["a", "b"])}, "there are no tensors"),
        ({"w": np.full((2, 3), np.nan)}, "'w' holds 6 NaN"),
        ({"w": np.zeros((2, 3))}, "'w' is zero throughout"),
    ],
)
def test_errors_in_a_file_name_the_file(tmp_path, arrays, message):
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(InputError, match=rf"net\.npz': .*{message}"):
        trace(tmp_path / "net.npz")


def test_weights_from_a_file_make_room_for_strengths(tmp_path):
    """Every parameter is handed out once, batch norms included."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.BatchNorm1d(2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert len(neuron_graph(tmp_path / "net.pt").blocks) == 2


def test_the_real_mlp(real):
    traced = trace(real / "mnist-784-128-10.safetensors")
    assert [(x.name, x.n_neurons) for x in traced.graph.layers] == [
        ("input", 784),
        ("l1", 128),
        ("l2", 10),
    ]
    assert traced.notes == ("taken as a chain in natural order of names: l1 -> l2 (784-128-10)",)


def test_the_real_cnn_saved_from_a_gpu(real):
    graph = neuron_graph(real / "mnist-lenet5.pt", include=("input", "dense"))
    assert [x.n_neurons for x in graph.layers] == [1, 6, 16, 120, 84, 10]
    assert graph.device.type == "cpu"
    assert [x.n_neurons for x in neuron_graph(real / "mnist-lenet5.pt").layers] == [6, 16, 120]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet_v2-b0353104.pth", r"'features\.1\.conv\.0\.0' takes 1 of the 32 .* depthwise"),
        (
            "stories260K.safetensors",
            r"'layers\.0\.attention\.wk\.weight' \(32, 64\) and 'layers\.0\.attention\.wo\.weight' "
            r"\(64, 64\), .* do not say how a network with skips or attention is connected",
        ),
        ("resnet_2b.onnx", "is an ONNX file"),
    ],
)
def test_real_networks_that_are_no_chain_are_refused(real, name, message):
    with pytest.raises(InputError, match=message):
        trace(real / name)
