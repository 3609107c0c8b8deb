from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.errors import InputError
from clusterability.tracing.chains.chain import Operation, chain_wiring
from clusterability.wiring.scales import BatchNorm


def dense(name, n_in, n_out):
    return Operation(name, f"{name}.weight", "dense", n_in, n_out)


def conv(name, n_in, n_out):
    return Operation(name, f"{name}.weight", "conv", n_in, n_out)


CNN = [conv("c1", 3, 8), conv("c2", 8, 16), dense("d1", 64, 10), dense("d2", 10, 4)]


def layers(wiring):
    return [(layer.name, layer.n_neurons) for layer in wiring.layers]


@pytest.mark.slow
@given(st.lists(st.integers(1, 20), min_size=2, max_size=8))
def test_an_mlp_has_a_layer_more_than_weights(sizes):
    operations = [dense(str(i), n_in, n_out) for i, (n_in, n_out) in enumerate(pairwise(sizes))]
    wiring = chain_wiring(operations)
    assert [n for _, n in layers(wiring)] == sizes
    ends = [(c.source, c.target, c.inputs) for c in wiring.connections]
    assert ends == [(i, i + 1, None) for i in range(len(operations))]
    assert chain_wiring(operations, ("input", "dense")) == wiring
    assert wiring.notes == ()


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ((), ["c1", "c2"]),
        (("input",), ["input", "c1", "c2"]),
        (("dense",), ["c1", "c2", "d1", "d2"]),
        (("input", "dense"), ["input", "c1", "c2", "d1", "d2"]),
    ],
)
def test_what_a_cnn_includes(include, expected):
    wiring = chain_wiring(CNN, include)
    assert [name for name, _ in layers(wiring)] == expected
    names = [c.weight.name for c in wiring.connections]
    assert names == [f"{name}.weight" for name in expected[1:]]
    inputs = {c.weight.name: c.inputs for c in wiring.connections}
    flattened = tuple(channel for channel in range(16) for _ in range(4))
    assert inputs.pop("d1.weight", flattened) == flattened
    assert set(inputs.values()) == {None}


def test_channels_last_flattens_pixel_by_pixel():
    operations = [replace(operation, layout="in-out") for operation in CNN]
    wiring = chain_wiring(operations, ("dense",))
    inputs = {c.weight.name: c.inputs for c in wiring.connections}
    assert inputs["d1.weight"] == tuple(range(16)) * 4
    assert all(c.weight.layout == "in-out" for c in wiring.connections)


def test_batch_norms_scale_what_their_operation_gives():
    norms = (BatchNorm("n", "n.running_var", 1e-5, "n.weight"), BatchNorm("m", "v", 0.1))
    operations = [CNN[0], replace(CNN[1], norms=norms), replace(CNN[2], norms=norms[1:])]
    wiring = chain_wiring(operations, ("dense",))
    assert [[scale for scale, _ in c.routes[0].scales] for c in wiring.connections] == [
        list(norms),
        [norms[1]],
    ]
    assert all(entries is None for c in wiring.connections for _, entries in c.routes[0].scales)


def test_notes_say_what_is_left_out():
    assert chain_wiring(CNN).notes == (
        "left out, as in the paper: the image and the convolution that reads it (c1) and the "
        "dense part (d1, d2)",
    )
    assert chain_wiring(CNN, ("input", "dense")).notes == ()


def test_one_convolution_alone_leaves_no_block():
    one = [conv("c1", 3, 8), dense("d1", 32, 10)]
    with pytest.raises(InputError, match=r"only convolution, 'c1'.*pass include"):
        chain_wiring(one)
    assert layers(chain_wiring(one, ["dense"])) == [("c1", 8), ("d1", 10)]
    assert layers(chain_wiring(one, {"input"})) == [("input", 3), ("c1", 8)]


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([], "no weight layer"),
        ([dense("a", 2, 3), dense("b", 4, 1)], "'a' gives 3 but 'b' takes 4; correct one"),
        ([conv("a", 2, 3), conv("b", 4, 1)], "'a' gives 3 but 'b' takes 4"),
        ([conv("a", 2, 3), dense("b", 10, 1)], "'b' takes 10 inputs, which is no multiple of"),
        ([conv("a", 2, 30), dense("b", 10, 1)], "'b' takes 10 inputs, which is no multiple of"),
        ([dense("a", 2, 3), conv("b", 3, 1)], "'b' is a convolution and cannot follow the dense"),
    ],
)
def test_what_does_not_chain_is_named(operations, message):
    with pytest.raises(InputError, match=message):
        chain_wiring(operations)


@pytest.mark.parametrize(
    ("include", "message"),
    [
        (("head",), "include is 'head', expected one of input, dense"),
        ("dense", "include is the string 'dense', expected a tuple"),
        (None, "include is None, expected a tuple"),
        (5, "include is 5, expected a tuple"),
        (np.array("dense"), r"include is array\('dense'.*expected a tuple"),
        ((name for name in ["dense"]), "include is <generator object .*>, expected a tuple"),
        ([[1]], r"include is \[1\], expected one of"),
        ([object()], "include is <object object>, expected one of"),
    ],
)
def test_include_is_checked(include, message):
    with pytest.raises(InputError, match=message):
        chain_wiring(CNN, include)


def test_include_may_be_any_collection():
    for include in (["dense"], {"dense"}, np.array(["dense"])):
        assert chain_wiring(CNN, include) == chain_wiring(CNN, ("dense",))
