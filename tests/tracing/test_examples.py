import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.tracing.examples import (
    check_example_inputs,
    check_input_shape,
    inferred_inputs,
    inputs_of_shapes,
)
from clusterability.tracing.modules import trace_module
from small_modules import Forward, conv, linear


def test_a_tensor_or_a_sequence_becomes_a_tuple():
    x = torch.zeros(1, 3)
    assert check_example_inputs(x) == (x,)
    assert check_example_inputs((x, 3)) == (x, 3)
    assert check_example_inputs([None, x]) == (None, x)


@pytest.mark.parametrize(
    "inputs", [(), [], 3, None, "x", np.zeros((1, 3)), (3, 4), {"x": 3}, {3: torch.zeros(1)}, {1}]
)
def test_what_holds_no_tensor_is_refused(inputs):
    with pytest.raises(InputError, match=r"example_inputs is .*, expected a tensor, a tuple of te"):
        check_example_inputs(inputs)


def test_an_input_shape_becomes_a_tuple():
    assert check_input_shape([3, 4]) == (3, 4)
    assert check_input_shape((7,)) == (7,)
    assert check_input_shape(torch.Size((3, 2))) == (3, 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"input_shape is \(\), expected sizes such as \(3, 224, 224\)"),
        (3, "input_shape is 3, expected sizes"),
        ("3,4", "input_shape is '3,4', expected sizes"),
        (None, "input_shape is None"),
        ({3}, r"input_shape is \{3\}"),
        ((3, 0), "input_shape holds 0, expected positive integers .* without the batch axis"),
        ((-1, 3), "input_shape holds -1"),
        ((3.0, 4), r"input_shape holds 3\.0"),
        ((True, 4), "input_shape holds True"),
        ((None, 4), "input_shape holds None"),
        ((2**20, 2**20), r"\(1048576, 1048576\) has more than 268435456 elements"),
        ((2**70,), "has more than 268435456 elements"),
        ((2**62, 2**62, 2**62), "has more than 268435456 elements"),
    ],
)
def test_bad_input_shapes_are_refused(shape, message):
    with pytest.raises(InputError, match=message):
        check_input_shape(shape)


def test_inputs_have_the_modules_own_precision():
    assert inputs_of_shapes(linear(3, 2).double(), ((3,),))[0].dtype == torch.float64
    assert inputs_of_shapes(nn.Conv2d(3, 2, 1).bfloat16(), ((3, 4, 4),))[0].dtype == torch.bfloat16
    (x,) = inputs_of_shapes(nn.ReLU(), ((3, 4),))
    assert (tuple(x.shape), x.dtype, bool(x.any())) == ((1, 3, 4), torch.float32, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "shape", "layer"),
    [
        (linear(5, 3), (5,), "the weight"),
        (nn.Sequential(nn.Flatten(), linear(6, 4)), (6,), "'1'"),
        (nn.Sequential(nn.BatchNorm1d(7), linear(7, 4)), (7,), "'1'"),
        (nn.Sequential(conv(3, 4), conv(4, 2)), (3, 224, 224), "'0'"),
        (nn.Sequential(conv(3, 4), nn.Flatten(), linear(4 * 32 * 32, 2)), (3, 32, 32), "'0'"),
        (nn.Sequential(conv(1, 2), nn.Flatten(), linear(2 * 28 * 28, 2)), (1, 28, 28), "'0'"),
        (nn.Sequential(conv(1, 2), nn.Flatten(), linear(2 * 7 * 7, 2)), (1, 7, 7), "'0'"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 5, 2), nn.Flatten(), linear(2 * 39 * 39, 2)),
            (3, 81, 81),
            "'0'",
        ),
        (nn.Sequential(nn.Conv1d(2, 3, 5), nn.Conv1d(3, 4, 3)), (2, 1024), "'0'"),
        (nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), linear(3 * 9, 4)), (2, 11), "'0'"),
        (nn.Sequential(nn.Conv3d(1, 3, 3), nn.ReLU()), (1, 32, 32, 32), "'0'"),
        (nn.Sequential(nn.Conv3d(1, 2, 2), nn.Flatten(), linear(2 * 5**3, 4)), (1, 6, 6, 6), "'0'"),
        (nn.Sequential(nn.ConvTranspose2d(4, 3, 2), conv(3, 2)), (4, 224, 224), "'0'"),
    ],
)
def test_the_first_weight_layer_tells_the_shape(model, shape, layer):
    (x,), note = inferred_inputs(model)
    assert tuple(x.shape) == (1, *shape)
    assert note == f"traced with an input of shape {(1, *shape)}, guessed from {layer}"
    with torch.no_grad():
        model.eval()(x)


def test_a_guess_takes_no_memory_for_large_images():
    """The forward pass that tries it knows shapes alone: here a terabyte of activations."""
    model = nn.Sequential(nn.Conv2d(1, 5_000_000, 1), nn.AdaptiveAvgPool2d(1))
    (x,), _ = inferred_inputs(model)
    assert tuple(x.shape) == (1, 1, 224, 224)


def counting(self, x):
    self.calls.add_(1)
    self.scale.data.mul_(2)
    return x


def test_guessing_leaves_the_module_alone():
    counter = Forward(counting, calls=torch.zeros(()), scale=nn.Parameter(torch.ones(())))
    model = nn.Sequential(linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(), counter).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inferred_inputs(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def branch(self, x):
    return self.a(x) if x.sum() > 0 else x


def test_a_branch_on_the_data_is_left_for_the_export_to_report():
    (x,), _ = inferred_inputs(Forward(branch, a=linear(3, 3)))
    assert tuple(x.shape) == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(conv(3, 4), nn.Flatten(), linear(4 * 300, 2)),
        nn.Sequential(nn.Embedding(5, 3), nn.Flatten(0)),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(model):
    with pytest.raises(
        InputError,
        match=r"what \w+ takes cannot be told .*example_inputs=torch\.zeros.*--input-shape 3,224",
    ):
        inferred_inputs(model)


@pytest.mark.parametrize(
    "model",
    [
        Forward(lambda self, x, y: self.a(x) + y, a=linear(3, 3)),
        Forward(lambda self, x: self.a(x["points"]), a=linear(3, 3)),
    ],
)
def test_where_the_one_guess_fails_the_reason_is_said(model):
    with pytest.raises(
        InputError, match=r"Forward could not be traced.*Error: .*check that example_inputs"
    ):
        trace_module(model)
