from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph, trace


def same_graphs(first, second):
    return [x.n_neurons for x in first.layers] == [x.n_neurons for x in second.layers] and all(
        torch.allclose(a.strengths, b.strengths)
        for a, b in zip(first.blocks, second.blocks, strict=True)
    )


def cnn():
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(24, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)),
    )
    for module in model:
        if hasattr(module, "running_var"):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("include", "kernel_norm"),
    [
        *(((), "l1"), (("input",), "l2"), (("dense",), "induced-1")),
        *(((), "induced-2"), (("input", "dense"), "l1"), (("input", "dense"), "induced-2")),
    ],
)
def test_a_state_dict_gives_the_graph_of_its_module(include, kernel_norm):
    model = cnn()
    choices = {"include": include, "kernel_norm": kernel_norm}
    assert same_graphs(neuron_graph(model.state_dict(), **choices), neuron_graph(model, **choices))


@pytest.mark.slow
def test_a_wrapped_checkpoint_gives_the_same():
    model = cnn()
    wrapped = {f"module._orig_mod.{name}": value for name, value in model.state_dict().items()}
    assert same_graphs(neuron_graph({"state_dict": wrapped, "epoch": 1}), neuron_graph(model))


def test_the_order_of_entries_does_not_matter():
    state = cnn().state_dict()
    backwards = dict(reversed(state.items()))
    assert same_graphs(neuron_graph(backwards), neuron_graph(state))


@pytest.mark.parametrize(
    "names",
    [
        ["encoder.0", "encoder.2", "decoder.0", "decoder.2"],
        ["net.Enc.fc1", "net.Enc.fc2", "net.Dec.fc1", "net.Dec.fc2"],
        ["stem", "body.0", "body.1", "head"],
    ],
)
def test_the_order_is_that_which_names_tell(names):
    """The shapes allow two orders."""
    layers = [nn.Linear(n, m) for n, m in pairwise([9, 6, 3, 6, 9])]
    state = {f"{n}.weight": m.weight.detach() for n, m in zip(names, layers, strict=True)}
    assert same_graphs(neuron_graph(state), neuron_graph(nn.Sequential(*layers)))


def test_arrays_in_either_orientation_give_the_same():
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    arrays = {
        "W1": model[0].weight.detach().numpy().T,
        "b1": np.zeros((1, 4)),
        "W2": model[1].weight.detach().numpy().T,
        "b2": np.zeros((1, 3)),
    }
    traced = trace(arrays)
    assert same_graphs(traced.graph, neuron_graph(model))
    assert traced.notes == (
        "read as a chain of layers in the order of their names: W1 -> W2 (5-4-3)",
        "weights read as (in, out), not as PyTorch's (out, in)",
    )


def test_channels_last_flattening_gives_the_graph_of_torch():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(24, 5))
    kernels = [model[i].weight.detach().permute(2, 3, 1, 0).numpy() for i in (0, 1)]
    dense = model[3].weight.detach().unflatten(1, (4, 6)).permute(2, 1, 0).reshape(24, 5).numpy()
    state = {"c1.kernel": kernels[0], "c2.kernel": kernels[1], "d.kernel": dense}
    include = ("input", "dense")
    traced = neuron_graph(model, include=include, example_inputs=torch.zeros(1, 2, 6, 7))
    assert same_graphs(neuron_graph(state, include=include), traced)


def test_the_graph_of_a_state_dict_is_differentiable():
    weight = torch.ones(2, 3, requires_grad=True)
    neuron_graph({"fc.weight": weight}).blocks[0].strengths.sum().backward()
    assert (weight.grad == 1).all()


def test_bfloat16_is_read():
    state = {name: value.bfloat16() for name, value in nn.Linear(3, 2).state_dict().items()}
    assert neuron_graph(state).blocks[0].strengths.dtype == torch.float32


def test_notes():
    notes = trace(cnn().state_dict()).notes
    assert (
        notes[0]
        == "read as a chain of layers in the order of their names: 0 -> 3 -> 7 -> 9 (1-4-6-7-3)"
    )
    assert "batch norms 1, 4, 8 taken with eps 1e-05: a state dict does not say" in notes
    assert notes[-1].startswith("left out, as in the paper")


def test_scales_of_layer_norms_are_left_out_with_a_note():
    state = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 2)).state_dict()
    assert "scales that belong to no batch norm left out: 1.weight" in trace(state).notes


def test_a_batch_norm_of_the_input_is_ignored_with_a_note():
    state = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).state_dict()
    assert "batch norm '0' scales the network's input: ignored" in trace(state).notes


THREE = {
    "module.a.weight": torch.ones(2, 3),
    "module.b.weight": torch.ones(3, 4),
    "module.c.weight": torch.ones(9, 9),
}


class TestOrder:
    @pytest.mark.parametrize(
        "order", [["b", "a"], ("b.weight", "a"), ["module.b.weight", "a"], np.array(["b", "a"])]
    )
    def test_exactly_those_weights_are_taken(self, order):
        traced = trace(THREE, order=order)
        assert [(x.name, x.n_neurons) for x in traced.graph.layers] == [
            ("input", 4),
            ("b", 3),
            ("a", 2),
        ]
        assert traced.notes == ("read as a chain of layers in the order given: b -> a (4-3-2)",)

    @pytest.mark.parametrize(
        ("order", "message"),
        [
            (["a", "c"], "do not chain in the order given.*'a' gives 2 but 'c' takes 9"),
            (["a", "d"], r"order names 'd', which is none of the weights \(a, b, c\)"),
            (["a", "a"], "order names 'a' twice"),
            ("b,a", "order is the string 'b,a'"),
            ([], "order names no weight"),
            (5, r"order is 5, expected a list of names: order=\["),
            (["a", 3], r"order is \['a', 3\], expected a list of names"),
            ([["a"]], r"order is \[\['a'\]\], expected a list of names"),
            ({"a"}, r"order is \{'a'\}, expected a list of names"),
            ([object()], r"order is \[<object object>\], expected a list of names"),
            (np.array([["a"]]), r"order is array\(.*, expected a list of names"),
            (np.array([1.0]), r"order is array\(.*, expected a list of names"),
            (np.array("a"), "order is the string 'a'"),
        ],
    )
    def test_bad_orders_are_refused(self, order, message):
        with pytest.raises(InputError, match=message):
            trace(THREE, order=order)

    def test_batch_norms_of_other_weights_are_left_alone(self):
        state = cnn().state_dict()
        notes = trace(state, order=["7", "9"]).notes
        assert "batch norms 8 taken with eps 1e-05: a state dict does not say" in notes


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"fc.bias": torch.ones(3)}, r"none of the 1 tensors \(fc.bias\) is a weight"),
        ({"fc.weight": torch.ones(3, 2, dtype=torch.int8)}, "'fc.weight' holds torch.int8"),
        ({"fc.qweight": torch.ones(3, 2, dtype=torch.int32)}, "'fc.qweight' holds torch.int32"),
        ({"fc.weight": torch.ones(3, 2, dtype=torch.complex64)}, "'fc.weight' holds torch.complex"),
        (nn.LSTM(3, 4).state_dict(), "do not chain"),
        ({"e.weight": torch.ones(100, 8), "fc.weight": torch.ones(2, 8)}, "do not chain"),
        ({"a\x1b[2J": torch.ones(2, 3), "b": torch.ones(5, 4)}, r"'a\\x1b\[2J' gives 2 but"),
        (nn.Conv2d(1, 2, 3).state_dict(), "only convolution, 'weight', leaves no two layers"),
    ],
)
def test_what_cannot_be_read_is_refused(state, message):
    with pytest.raises(InputError, match=message):
        neuron_graph(state)


def test_tensors_that_are_no_floats_are_ignored_unless_they_are_weights():
    state = {"fc.weight": torch.ones(3, 2), "position_ids": torch.ones(1, 9, dtype=torch.int64)}
    assert len(neuron_graph(state).layers) == 2


def test_one_symmetric_matrix_may_be_a_graph():
    adjacency = torch.ones(4, 4) - torch.eye(4)
    with pytest.raises(InputError, match=r"one symmetric matrix of 4 x 4, which may be the adjac"):
        trace({"arr_0": adjacency})
    assert trace({"arr_0": adjacency}, order=["arr_0"]).graph.layer_sizes == [4, 4]
    assert trace({"arr_0": torch.arange(16.0).reshape(4, 4)}).graph.layer_sizes == [4, 4]
    rounded = adjacency.double()
    rounded[0, 1] += 1e-9
    with pytest.raises(InputError, match="one symmetric matrix"):
        trace({"arr_0": rounded})


@pytest.mark.parametrize("half", [torch.triu, torch.tril])
def test_one_matrix_with_each_edge_once_may_be_a_graph(half):
    adjacency = half(torch.rand(4, 4) + 1)
    with pytest.raises(InputError, match="one triangular matrix of 4 x 4, which may be the adjac"):
        trace({"arr_0": adjacency})
    found = trace({"a": adjacency, "b": torch.rand(4, 4)})  # a mask leaves such weights
    assert found.graph.layer_sizes == [4, 4, 4]


def test_an_adjacency_beside_the_features_of_its_nodes():
    adjacency = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
    state = {"adjacency": adjacency, "features": torch.rand(3, 5)}
    message = r"^'adjacency' is a symmetric matrix of 3 x 3, .* --order adjacency,features on the"
    with pytest.raises(InputError, match=message):
        trace(state)
    assert trace(state, order=["adjacency", "features"]).graph.layer_sizes == [3, 3, 5]


@pytest.mark.parametrize("begin", [torch.eye(3), torch.full((3, 3), 0.1)])
def test_layers_that_begin_with_symmetric_weights_are_no_graphs(begin):
    state = {"0.weight": begin, "1.weight": torch.rand(3, 3)}
    assert trace(state).graph.layer_sizes == [3, 3, 3]


def test_an_adjacency_of_integers():
    with pytest.raises(InputError, match=r"for the adjacency of a graph, pass it as a SciPy"):
        trace({"arr_0": torch.ones(4, 4, dtype=torch.int64)})


@pytest.mark.parametrize("kind", ["to_sparse", "to_mkldnn"])
def test_a_square_weight_in_another_layout_is_refused(kind):
    with pytest.raises(InputError, match=r"has layout .*; give a dense tensor"):
        trace({"fc.weight": getattr(torch.rand(3, 3), kind)()})


def test_biases_are_no_weights_whatever_their_shape():
    weights = {"c.weight": (5, 4), "a.weight": (6, 5), "b.weight": (3, 6)}
    sizes = {**weights, "c.bias": (7, 3), "a.pos_bias_table": (9, 3)}
    state = {name: torch.ones(size) for name, size in sizes.items()}
    with pytest.raises(InputError, match="--order c,a,b on the command line"):
        trace(state)
    with pytest.raises(InputError, match=r"none of the weights \(a, b, c\)"):
        trace(state, order=["d"])
    assert trace(state, order=["c", "a", "b"]).graph.layer_sizes == [4, 5, 6, 3]
    sizes = {"layer_0": (4, 5), "layer_0_b": (1, 5), "layer_1": (5, 3), "layer_1_b": (1, 3)}
    state = {name: torch.ones(size) for name, size in sizes.items()}
    assert trace(state).graph.layer_sizes == [4, 5, 3]
