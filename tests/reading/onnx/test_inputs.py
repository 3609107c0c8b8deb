import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

import onnx_models
from clusterability.errors import InputError
from clusterability.reading.onnx.onnx_files import read_onnx
from clusterability.tracing import exporting


def conv_model(shape, **options):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    return onnx_models.model(nodes, {"w": np.ones((2, 3, 1, 1), np.float32)}, x=shape, **options)


def shapes(proto, folder, input_shape=None):
    loaded = read_onnx(onnx_models.save(proto, folder), input_shape)
    return [tuple(x.shape) for x in loaded.example_inputs]


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ((1, 3, 8, 8), None, (1, 3, 8, 8)),
        ((4, 3, 8, 8), None, (4, 3, 8, 8)),
        (("batch", 3, 8, 8), None, (1, 3, 8, 8)),
        ((0, 3, 8, 8), None, (1, 3, 8, 8)),
        ((None, 3, 8, 8), None, (1, 3, 8, 8)),
        (("n", 3, "h", "w"), (3, 6, 7), (1, 3, 6, 7)),
        (("n", 3, "h", "w"), (5, 3, 6, 7), (5, 3, 6, 7)),
        ((2, 3, "h", "w"), (3, 6, 7), (2, 3, 6, 7)),
        ((1, 3, 8, 8), (3, 8, 8), (1, 3, 8, 8)),
        ((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8)),
        (None, (3, 5, 5), (1, 3, 5, 5)),
        ((784,), None, (784,)),
        ((784,), (784,), (784,)),
        (("n",), (784,), (784,)),
        ((1, 784, 1), None, (1, 784, 1)),
    ],
)
def test_shapes_of_examples(declared, given, expected, tmp_path):
    assert shapes(conv_model(declared), tmp_path, given) == [expected]


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        (("n", 3, "h", "w"), None, r"'x' of .* has the open shape \[\?, 3, \?, \?\]; give"),
        (("n",), None, r"has the open shape \[\?\]"),
        (None, None, r"declares no shape; give its sizes without the batch axis as input_shape="),
        ((1, 3, 8, 8), (3, 9, 9), r"is \[3, 9, 9\], but .* has the shape \[1, 3, 8, 8\]"),
        (("n", 3, "h", "w"), (1, 8, 8), r"input_shape is \[1, 8, 8\], but"),
        (("n", 3, "h", "w"), (8, 8), r"input_shape is \[8, 8\], but"),
        (("n", 3, "h", "w"), (0, 8, 8), r"expected whole numbers of at least 1"),
        (("n", 3, "h", "w"), (3, 2.5, 8), r"expected whole numbers of at least 1"),
        (("n", 3, "h", "w"), (), r"expected whole numbers of at least 1"),
        (("n", 3, "h", "w"), (3, 10**9, 10**9), r"more than 268435456 elements"),
        ((1, 3, 2**40, 2**40), None, r"more than 268435456 elements"),
    ],
)  # fmt: skip
def test_shapes_that_are_missing_or_disagree(declared, given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        shapes(conv_model(declared), tmp_path, given)


def two_inputs(first, second):
    nodes = [
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Gemm", ["c", "w"], ["y"]),
    ]
    constants = {"w": np.ones((3, 2), np.float32)}
    return onnx_models.model(nodes, constants, inputs={"a": first, "b": second})


def test_several_inputs(tmp_path):
    assert shapes(two_inputs((1, 3), ("n", 3)), tmp_path) == [(1, 3), (1, 3)]
    assert shapes(two_inputs((1, 3), ("n", "m")), tmp_path, (3,)) == [(1, 3), (1, 3)]
    loaded = read_onnx(tmp_path / "net.onnx", (3,))
    assert exporting.exported(loaded.module, loaded.example_inputs)


def test_each_of_several_inputs_has_a_shape(tmp_path):
    proto = two_inputs(("n", 3), ("n", "m"))
    assert shapes(proto, tmp_path, [(3,), (1,)]) == [(1, 3), (1, 1)]
    assert shapes(proto, tmp_path, [(2, 3), (5, 3)]) == [(2, 3), (5, 3)]
    with pytest.raises(InputError, match=r"is \[4\], but the input 'a' of the ONNX file has"):
        shapes(proto, tmp_path, [(4,), (3,)])
    message = (
        r"^the ONNX file has 2 inputs, but input_shape gives 3 shapes, .*; give one for each .*; "
        r"its own: 'a' \[\?, 3\], 'b' of any shape$"
    )
    with pytest.raises(InputError, match=message):
        shapes(two_inputs(("n", 3), None), tmp_path, [(3,)] * 3)
    with pytest.raises(InputError, match=r"has 1 input, but .*its own: 'x' \[\?, 3, \?, \?\]"):
        shapes(conv_model(("n", 3, "h", "w")), tmp_path, [(3, 5, 5), (3,)])


def test_initializers_among_the_inputs_are_none(tmp_path):
    proto = onnx_models.linear_model()
    value = helper.make_tensor_value_info("fc.weight", TensorProto.FLOAT, (2, 3))
    proto.graph.input.append(value)
    assert shapes(proto, tmp_path) == [(1, 3)]


def test_a_batch_of_two_where_axes_of_one_are_dropped(tmp_path):
    nodes = [
        helper.make_node("Squeeze", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    constants = {"w": np.ones((3, 2), np.float32)}
    proto = onnx_models.model(nodes, constants, x=("n", 3, 1, 1))
    assert shapes(proto, tmp_path) == [(2, 3, 1, 1)]
    loaded = read_onnx(tmp_path / "net.onnx")
    assert loaded.module(*loaded.example_inputs).shape == (2, 2)


def test_whole_numbers_as_input(tmp_path):
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    constants = {"w": np.ones((3, 2), np.float32)}
    proto = onnx_models.model(nodes, constants, x_type=TensorProto.UINT8)
    loaded = read_onnx(onnx_models.save(proto, tmp_path))
    assert loaded.example_inputs[0].dtype == torch.uint8
    assert loaded.module(torch.full((1, 3), 2, dtype=torch.uint8)).tolist() == [[6.0, 6.0]]


def test_inputs_that_are_no_arrays_of_numbers(tmp_path):
    with pytest.raises(InputError, match=r"the input 'x' has elements of type STRING"):
        shapes(conv_model((1, 3), x_type=TensorProto.STRING), tmp_path)
    proto = onnx_models.linear_model()
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, (1, 3))
    proto.graph.input[0].CopyFrom(sequence)
    with pytest.raises(InputError, match=r"the input 'x' is no tensor"):
        shapes(proto, tmp_path)


def test_a_graph_without_inputs(tmp_path):
    nodes = [helper.make_node("Gemm", ["v", "w"], ["y"])]
    constants = {"v": np.ones((1, 3), np.float32), "w": np.ones((3, 2), np.float32)}
    with pytest.raises(InputError, match="has no inputs"):
        shapes(onnx_models.model(nodes, constants, inputs={}), tmp_path)


def test_a_claimed_input_of_gigabytes_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the input 'x' of shape .* has more than 268435456 elem"):
        shapes(conv_model((1, 3, 2**31 - 1, 1)), tmp_path)
