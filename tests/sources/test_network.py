import os
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.sources import neuron_graph, trace
from clusterability.sources.names import network_from_name
from small_modules import Forward, linear


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


@pytest.mark.parametrize("network", [3, None, [torch.ones(2, 2)], nn.Linear])
def test_other_types_are_refused(network):
    with pytest.raises(InputError, match=f"of type {type(network).__name__} cannot be read"):
        trace(network)


def test_a_name_of_a_shipped_network():
    traced = trace("example:fashion-mnist-mlp")
    assert (traced.name, traced.graph.n_neurons) == ("example:fashion-mnist-mlp", 1818)
    with pytest.raises(InputError, match="there is no example 'fashion'"):
        trace("example:fashion")


def test_graphs_of_other_libraries_and_in_files(tmp_path):
    adjacency = sp.coo_array(([1.0, 2.0], ([0, 1], [1, 2])), shape=(3, 3))
    adjacency = (adjacency + adjacency.T).tocsr()
    sp.save_npz(tmp_path / "graph.npz", adjacency)
    for network, name in ((adjacency, "graph"), (tmp_path / "graph.npz", "graph.npz")):
        traced = trace(network)
        assert (traced.name, traced.graph.degrees().tolist()) == (name, [1, 3, 2])
        with pytest.raises(InputError, match="says nothing about a graph"):
            trace(network, input_shape=(3,))


def test_order_is_for_state_dicts(model, tmp_path):
    with pytest.raises(InputError, match=r"the network is a torch\.nn\.Module; leave it out"):
        trace(model, order=["0"])
    with pytest.raises(InputError, match="the network is a graph; leave it out"):
        trace(NeuronGraph.chain([torch.ones(2, 3)]), order=["0"])
    for name in ("net.onnx", "net.KERAS"):
        with pytest.raises(InputError, match="the network is a model file; leave it out"):
            trace(tmp_path / name, order=["0"])


@pytest.mark.slow
def test_example_inputs_and_their_shape_tell_the_same():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.zeros(2, 3, 4)
    graphs = [
        neuron_graph(model, **how)
        for how in ({"example_inputs": x}, {"example_inputs": [x]}, {"input_shape": (3, 4)}, {})
    ]
    for graph in graphs:
        assert [layer.n_neurons for layer in graph.layers] == [12, 4, 2]
        assert torch.equal(graph.blocks[0].strengths, graphs[0].blocks[0].strengths)
    with pytest.raises(InputError, match="both tell the input; give one of them"):
        trace(model, example_inputs=x, input_shape=(3, 4))


def test_several_inputs_are_given_in_a_tuple():
    model = Forward(lambda self, x, y: self.a(x) + self.b(y), a=linear(3, 2), b=linear(5, 2))
    graph = neuron_graph(model, example_inputs=(torch.zeros(1, 3), torch.zeros(1, 5)))
    assert [layer.n_neurons for layer in graph.layers] == [3, 5, 2]


def test_inputs_are_not_for_what_has_no_forward_pass(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "net.pt")
    for network, what in (
        (model.state_dict(), "weights alone, which are read as a chain of layers"),
        (tmp_path / "net.pt", "weights alone, which are read as a chain of layers"),
        (NeuronGraph.chain([torch.ones(2, 3)]), "a graph"),
    ):
        with pytest.raises(InputError, match=f"an input shape says nothing about {what}; leave"):
            trace(network, input_shape=(4,))
        with pytest.raises(InputError, match=r"example_inputs are for a torch\.nn\.Module, but"):
            trace(network, example_inputs=torch.zeros(1, 4))
    with pytest.raises(InputError, match=r"for a torch\.nn\.Module, but .*; give input_shape"):
        trace(tmp_path / "net.onnx", example_inputs=torch.zeros(1, 4))


@pytest.mark.slow
def test_the_number_of_outputs_is_told_where_a_forward_pass_does():
    linear = nn.Linear(4, 7)
    assert trace(nn.Sequential(linear, nn.ReLU())).n_outputs == 7
    assert trace(nn.Sequential(linear), example_inputs=torch.zeros(2, 4)).n_outputs == 7
    assert trace(nn.Sequential(linear), example_inputs=torch.zeros(1, 3, 4)).n_outputs is None
    assert trace(nn.Sequential(linear).state_dict()).n_outputs is None
    assert trace(NeuronGraph.chain([torch.ones(2, 3)])).n_outputs is None


@pytest.mark.slow
def test_an_onnx_file_gives_the_same_graph(model, tmp_path):
    onnx_models = pytest.importorskip("onnx_models")
    path = onnx_models.exported(model, torch.zeros(1, 4), tmp_path)
    traced, expected = trace(path), neuron_graph(model)
    assert traced.name == "net.onnx"
    assert traced.n_outputs == trace(model).n_outputs == 2
    assert [x.name for x in traced.graph.layers] == [x.name for x in expected.layers]
    for block, other in zip(traced.graph.blocks, expected.blocks, strict=True):
        assert torch.equal(block.strengths, other.strengths)
        assert not block.strengths.requires_grad


@pytest.mark.slow
def test_a_keras_model_and_its_file_give_the_same_graph(tmp_path):
    keras_networks = pytest.importorskip("keras_networks")
    keras_model = keras_networks.randomized(keras_networks.mlp())
    path = keras_networks.saved(keras_model, tmp_path / "mlp.keras")
    traced, live = trace(path), trace(keras_model)
    assert (traced.name, live.name) == ("mlp.keras", "Sequential")
    assert traced.n_outputs == live.n_outputs == 3
    assert [x.n_neurons for x in live.graph.layers] == [8, 6, 5, 3]
    for block, other in zip(traced.graph.blocks, live.graph.blocks, strict=True):
        assert torch.equal(block.strengths, other.strengths)
    with pytest.raises(InputError, match="the network is a Keras model; leave it out"):
        trace(keras_model, order=["dense"])


@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".h5", ".ONNX"])
@pytest.mark.parametrize("content", [None, b"", b"nothing of the kind"])
def test_errors_in_a_model_file_name_the_file_once(tmp_path, suffix, content):
    path = tmp_path / f"net{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"net\{suffix}'") as caught:
        trace(path)
    assert str(caught.value).count(f"net{suffix}") == 1


def test_an_unknown_kernel_norm_is_refused_for_every_network(model):
    for network in (model, NeuronGraph.chain([torch.ones(2, 3)])):
        with pytest.raises(InputError, match="kernel_norm is 'max', expected one of l1"):
            trace(network, kernel_norm="max")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"include": ("head",)}, "^include is 'head'"),
        ({"include": None}, "^include is None"),
        ({"order": 5}, "^order is 5"),
        ({"kernel_norm": None}, "^kernel_norm is None"),
        (
            {"example_inputs": 5},
            "^example_inputs is 5, expected a tensor, a tuple of tensors",
        ),
        ({"input_shape": 5}, "^input_shape is 5, expected sizes"),
        ({"input_shape": (4, -1)}, "^input_shape holds -1"),
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
    assert traced.notes == (
        "read as a chain of layers in the order of their names: l1 -> l2 (784-128-10)",
    )


def test_the_real_cnn_saved_from_a_gpu(real):
    graph = neuron_graph(real / "mnist-lenet5.pt", include=("input", "dense"))
    assert [x.n_neurons for x in graph.layers] == [1, 6, 16, 120, 84, 10]
    assert graph.device.type == "cpu"
    assert [x.n_neurons for x in neuron_graph(real / "mnist-lenet5.pt").layers] == [6, 16, 120]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet_v2-b0353104.pth", r"'features\.1\.conv\.0\.0' takes 1 of the 32 .* depthwise"),
        (
            "stories260K.safetensors",
            r"'tok_embeddings\.weight' \(512, 64\) and 'layers\.0\.attention\.wk\.weight' "
            r"\(32, 64\), .* do not say how a network with skips or attention is connected",
        ),
        ("Convnet_maxpool.onnx", r"no two layers are left .*--include input,dense"),
    ],
)
def test_real_networks_that_cannot_be_measured_are_refused(real, name, message):
    with pytest.raises(InputError, match=message):
        trace(real / name)


def test_the_papers_own_architecture_in_an_onnx_file(real):
    traced = trace(real / "mnist-net_256x4.onnx")
    assert [x.n_neurons for x in traced.graph.layers] == [784, 256, 256, 256, 256, 10]
    assert traced.notes == ()


def test_the_real_resnet(real):
    """Two residual blocks, the first with a projection; two weights are copied by skips."""
    graph = neuron_graph(real / "resnet_2b.onnx")
    assert [x.n_neurons for x in graph.layers] == [8, 16, 8, 16, 16, 16]
    ends = [(b.source, b.target) for b in graph.blocks]
    assert ends == [(0, 1), (1, 3), (1, 5), (2, 3), (2, 5), (3, 4), (4, 5)]
    kernels = [b.kernel for b in graph.blocks]
    assert kernels[1] == kernels[2] != kernels[3] == kernels[4]
    assert [kernel is None for kernel in kernels] == [True, *[False] * 4, True, True]


def test_the_real_cnn_with_everything(real):
    graph = neuron_graph(real / "Convnet_maxpool.onnx", include=("input", "dense"))
    assert graph.layers[0].n_neurons == 1
    assert len(graph.blocks) == 2


def test_a_module_that_prints_and_changes_the_path(tmp_path, monkeypatch, capsys):
    (tmp_path / "loud.py").write_text(
        "import sys\nfrom torch import nn\n"
        "def make():\n    print('hello')\n    sys.path[:] = []\n    return nn.Linear(2, 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    monkeypatch.setattr("sys.path", list(before))
    assert network_from_name("loud:make").out_features == 2
    assert sys.path == before  # what is imported later is found
    assert capsys.readouterr() == ("", "hello\n")


def test_a_name_that_no_file_can_have():
    with pytest.raises(InputError, match="there is no example"):
        trace("example:" + "a" * 5000)


def test_an_entry_is_for_weights_alone(tmp_path):
    states = {name: {"fc.weight": torch.ones(3, n)} for name, n in (("a", 4), ("b", 5))}
    torch.save(states, tmp_path / "net.pt")
    assert trace(tmp_path / "net.pt", entry="b").graph.layer_sizes == [5, 3]
    assert trace(states, entry="a").graph.layer_sizes == [4, 3]
    with pytest.raises(InputError, match="entry names a network in a state dict"):
        trace(torch.nn.Linear(3, 2), entry="a")
    with pytest.raises(InputError, match="entry is 3, expected the name of one"):
        trace(states, entry=3)


@pytest.mark.parametrize("name", ["net.gexf", "net.npy", "net.gml"])
def test_other_files_are_told_which_graphs_there_are(tmp_path, name):
    (tmp_path / name).write_text("<gexf/>")
    with pytest.raises(InputError, match=r"for a graph .graphml, .json \(node-link\) or .npz"):
        trace(tmp_path / name)


@pytest.mark.parametrize("array", [np.eye(3), torch.eye(3)])
def test_an_array_is_told_what_it_may_be(array):
    with pytest.raises(InputError, match=r"shape \(3, 3\), .* scipy.sparse.csr_array\(array\) for"):
        trace(array)


@pytest.mark.parametrize(
    "name", ["net.npz", "net.pt", "net.json", "net.graphml", "net.onnx", "net.keras", "net.h5"]
)
@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_what_has_no_end_is_refused(tmp_path, name, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is no regular file; copy it into one first"):
        trace(tmp_path / name)


def test_a_callable_that_replaces_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd_path.py").write_text(
        "import sys\nfrom torch import nn\n"
        "def build():\n    sys.path = None\n    return nn.Linear(3, 2)\n"
    )
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    assert isinstance(network_from_name("odd_path:build"), nn.Linear)
    assert [p for p in sys.path if p != str(tmp_path)] == before


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a.weight": torch.ones(0, 3, 3, 3), "b.weight": torch.ones(4, 3, 3, 3)}, "no empty axis"),
        ({"a.weight": torch.ones(3, 0), "b.weight": torch.ones(4, 3)}, "no empty axis"),
    ],
)
def test_weights_without_neurons_are_refused(state, message):
    with pytest.raises(InputError, match=message):
        trace(state)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused():
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(3, 3)])
    with pytest.raises(InputError, match="there is a nested tensor among the entries"):
        trace({"a.weight": nested})
