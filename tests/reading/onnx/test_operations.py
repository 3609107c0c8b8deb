import re
import warnings

import numpy as np
import pytest
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator

import onnx_models
from clusterability.errors import InputError
from clusterability.reading.onnx.onnx_files import read_onnx
from clusterability.reading.onnx.operations import ONNX_OPERATIONS, NodeCall, OnnxOperation
from clusterability.tracing import exporting
from onnx_cases import CASES, F32, Case, i64, numbers


def run_both(proto, x, folder):
    loaded = read_onnx(onnx_models.save(proto, folder))
    results = loaded.module(torch.from_numpy(x))
    with warnings.catch_warnings():
        # The reference's own arithmetic, which is not under test.
        warnings.simplefilter("ignore")
        expected = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})
    exporting.exported(loaded.module, loaded.example_inputs)
    return results if isinstance(results, tuple) else (results,), expected


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_as_the_reference_computes_it(case, tmp_path):
    x = numbers(*case.x, seed=3)
    results, expected = run_both(case.model(), np.abs(x) + 0.1 if case.positive else x, tmp_path)
    assert len(results) == len(expected)
    for ours, reference in zip(results, expected, strict=True):
        assert ours.shape == reference.shape
        np.testing.assert_allclose(ours.numpy(), reference, rtol=2e-5, atol=2e-5)


def test_every_operation_is_compared_or_tested_by_name():
    compared = {case.op for case in CASES}
    by_name = {
        *("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"),
        *("Where", "Shape", "Size", "QuantizeLinear", "DequantizeLinear", "Swish"),
        *("ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.ZipMap"),
    }
    assert set(ONNX_OPERATIONS) == compared | by_name


@pytest.mark.slow
@pytest.mark.parametrize("op", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
@pytest.mark.parametrize("both", ["And", "Or"])
def test_choices(op, both, tmp_path):
    nodes = [
        helper.make_node(op, ["x", "w"], ["is"]),
        helper.make_node("Less", ["x", "half"], ["small"]),
        helper.make_node(both, ["is", "small"], ["either"]),
        helper.make_node("Not", ["either"], ["other"]),
        helper.make_node("Where", ["other", "x", "half"], ["y"]),
    ]
    constants = {"w": numbers(3, seed=1), "half": np.array(0.5, F32)}
    proto = onnx_models.model(nodes, constants, x=(4, 3))
    x = numbers(4, 3)
    x[0] = constants["w"]
    results, expected = run_both(proto, x, tmp_path)
    np.testing.assert_array_equal(results[0].numpy(), expected[0])


def test_swish(tmp_path):
    nodes = [
        helper.make_node("Swish", ["x"], ["a"]),
        helper.make_node("Swish", ["x"], ["b"], alpha=2.0),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Mul", ["c", "w"], ["y"]),
    ]
    proto = onnx_models.model(nodes, {"w": np.ones(3, F32)}, opset=24)
    loaded = read_onnx(onnx_models.save(proto, tmp_path))
    x = torch.randn(1, 3)
    torch.testing.assert_close(loaded.module(x), x * torch.sigmoid(x) + x * torch.sigmoid(2 * x))


def test_shapes_are_computed_outside_torch(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Div", ["size", "batch"], ["each"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batches"]),
        helper.make_node("Unsqueeze", ["each", "axes"], ["eaches"]),
        helper.make_node("Concat", ["batches", "eaches"], ["new"], axis=0),
        helper.make_node("Reshape", ["x", "new"], ["flat"]),
        helper.make_node("Cast", ["batch"], ["float"], to=1),
        helper.make_node("Sqrt", ["float"], ["root"]),
        helper.make_node("Div", ["flat", "root"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "w"], ["y"]),
    ]
    constants = {"zero": np.array(0), "axes": i64(0), "w": numbers(12, 2)}
    proto = onnx_models.model(nodes, constants, x=(5, 3, 4))
    results, expected = run_both(proto, numbers(5, 3, 4), tmp_path)
    np.testing.assert_allclose(results[0].numpy(), expected[0], rtol=1e-5)
    assert targets(read_onnx(tmp_path / "net.onnx")) == ["reshape", "div", "t", "linear"]


def test_what_the_reference_lacks(tmp_path):
    x = numbers(2, 4, 6, 5)
    scaled = torch.from_numpy(x) * 1.5
    flat = torch.from_numpy(scaled.numpy().reshape(2, -1))
    cases = {
        Case("Softmax", opset=11): flat.softmax(1).reshape(x.shape),
        Case("LogSoftmax", opset=9, axis=2): (
            scaled.reshape(2, 4, -1).log_softmax(-1).reshape(x.shape)
        ),
        Case("Pad", i64(0, 0, -1, 0, 0, 0, 0, -2)): scaled[:, :, 1:, :-2],
        Case("Resize", np.array([1, 1, 2, 3], F32), opset=10): (
            scaled.repeat_interleave(2, 2).repeat_interleave(3, 3)
        ),
        Case("Upsample", np.array([1, 1, 2, 2], F32), opset=9, mode="linear"): (
            torch.nn.functional.interpolate(scaled, scale_factor=2.0, mode="bilinear")
        ),
        Case("Dropout", None, np.array(True), opset=13): scaled,
    }
    for case, expected in cases.items():
        loaded = read_onnx(onnx_models.save(case.model(), tmp_path))
        torch.testing.assert_close(loaded.module(torch.from_numpy(x)), expected)


def targets(loaded):
    program = exporting.exported(loaded.module, loaded.example_inputs)
    return [n.target.__name__.split(".")[0] for n in program.graph.nodes if n.op == "call_function"]


def test_scales_computed_from_constants_with_axes(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["floats"], to=1),
        helper.make_node("Mul", ["floats", "scales"], ["grown"]),
        helper.make_node("Floor", ["grown"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["sizes"], to=7),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["big"]),
        helper.make_node("Conv", ["big", "w"], ["y"]),
    ]
    constants = {"scales": np.array([1, 1, 2, 2.5], F32), "w": numbers(2, 3, 1, 1)}
    proto = onnx_models.model(nodes, constants, x=(1, 3, 4, 4))
    loaded = read_onnx(onnx_models.save(proto, tmp_path))
    assert loaded.module(torch.ones(1, 3, 4, 4)).shape == (1, 2, 8, 10)
    assert [name for name, _ in loaded.module.named_parameters()] == ["w"]


def test_ranges_and_filled_arrays(tmp_path):
    filled = helper.make_tensor("value", onnx_models.FLOAT, [1], [2.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["twos"], value=filled),
        helper.make_node("Range", ["zero", "three", "one"], ["range"]),
        helper.make_node("Cast", ["range"], ["floats"], to=1),
        helper.make_node("Add", ["twos", "floats"], ["sum"]),
        helper.make_node("Mul", ["x", "sum"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "w"], ["y"]),
    ]
    constants = {
        "shape": i64(2, 3), "w": numbers(3), "zero": np.array(0), "three": np.array(3),
        "one": np.array(1),
    }  # fmt: skip
    proto = onnx_models.model(nodes, constants, x=(2, 3))
    results, expected = run_both(proto, numbers(2, 3), tmp_path)
    np.testing.assert_allclose(results[0].numpy(), expected[0], rtol=1e-6)


def test_quantized_weights_are_turned_into_floats(tmp_path):
    weight = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    scale, zero = np.array([0.1, 0.2, 0.3, 0.4], F32), np.array([1, 0, -1, 2], np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["float"], axis=0),
        helper.make_node("Gemm", ["d", "float"], ["y"], transB=1),
    ]
    constants = {
        "s": np.array(0.5, F32), "z": np.array(0, np.int8), "w": weight, "ws": scale, "wz": zero
    }  # fmt: skip
    proto = onnx_models.model(nodes, constants, x=(2, 3), opset=19)
    x = np.array([[1, -2, 0.5], [0, 3, 1]], F32)
    results, expected = run_both(proto, x, tmp_path)
    np.testing.assert_allclose(results[0].numpy(), expected[0], rtol=1e-6)
    assert read_onnx(tmp_path / "net.onnx").notes == (
        "quantization of activations left out: they pass as they are",
    )


def test_a_weight_to_the_left_of_the_data(tmp_path):
    nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
    proto = onnx_models.model(nodes, {"w": numbers(2, 3)}, x=(3, 1))
    results, expected = run_both(proto, numbers(3, 1), tmp_path)
    np.testing.assert_allclose(results[0].numpy(), expected[0], rtol=1e-5)


def test_an_operation_can_be_added(tmp_path, monkeypatch):
    def doubled(call: NodeCall, x):
        return x * call.get("factor", 2.0)

    node = helper.make_node("Times", ["x"], ["a"], name="n", domain="my.domain", factor=3.0)
    gemm = helper.make_node("Gemm", ["a", "w"], ["y"])
    proto = onnx_models.model([node, gemm], {"w": np.eye(3, dtype=F32)})
    path = onnx_models.save(proto, tmp_path)
    with pytest.raises(InputError, match=r"node 'n' \(my\.domain\.Times\) .*ONNX_OPERATIONS"):
        read_onnx(path)
    monkeypatch.setitem(ONNX_OPERATIONS, "my.domain.Times", OnnxOperation(doubled))
    assert read_onnx(path).module(torch.ones(1, 3)).tolist() == [[3.0, 3.0, 3.0]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("Conv", numbers(3, 5, 3, 3)), "does not fit its inputs"),
        (Case("Conv", numbers(3, 4, 3, 3), pads=[1, 1]), "has 2 numbers as pads, expected 4"),
        (Case("Conv", numbers(3, 4, 3)), "a window of 1 axes for an image of 2"),
        (Case("Reshape", i64(7, 7)), "does not fit its inputs"),
        (Case("Concat", numbers(1, 2), axis=9), "does not fit its inputs"),
        (Case("Gather", i64(9), axis=1), "indices outside of its axis of size 4"),
        (Case("AveragePool", kernel_shape=[2, 2], dilations=[2, 2], opset=19), "has dilations"),
        (Case("Resize", None, np.array([2, 1, 1, 1], F32)), "the batch and the channels"),
        (
            Case(
                "Resize", None, np.array([1, 1, 2, 2], F32), mode="linear",
                coordinate_transformation_mode="asymmetric",
            ),
            "the coordinates asymmetric, which torch lacks",
        ),
        (
            Case("Resize", None, None, i64(2, 4, 9, 9), keep_aspect_ratio_policy="not_larger"),
            "has keep_aspect_ratio_policy",
        ),
        (Case("BatchNormalization", *[numbers(4) ** 2] * 4, training_mode=1), "training mode"),
        (Case("BatchNormalization", *[numbers(4)] * 4, spatial=0, opset=8), "spatial=0"),
        (Case("Pad", i64(0, 1, 0, 0, 0, 0, 0, 0), mode="edge"), "pads more than the image"),
        (Case("Dropout", n_outputs=2), "output that the node's operation does not compute"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_computed_names_the_node(case, message, tmp_path):
    loaded = read_onnx(onnx_models.save(case.model(), tmp_path))
    for run in (lambda: loaded.module(*loaded.example_inputs), lambda: targets(loaded)):
        with pytest.raises(InputError, match=message) as error:
            run()
        assert "'it'" in str(error.value) or "'y1'" in str(error.value)


def test_shapes_taken_from_data_are_refused(tmp_path):
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=7),
        helper.make_node("Reshape", ["w", "whole"], ["y"], name="r"),
    ]
    proto = onnx_models.model(nodes, {"w": numbers(3, 1)}, x=(2,))
    loaded = read_onnx(onnx_models.save(proto, tmp_path))
    with pytest.raises(InputError, match=r"node 'r' \(Reshape\) takes its shape from data"):
        loaded.module(torch.tensor([3.0, 1.0]))


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("ConstantOfShape", ["huge"], ["big"], name="n"),
        helper.make_node("Range", ["zero", "many", "one"], ["big"], name="n"),
        helper.make_node("Tile", ["huge", "many1"], ["big"], name="n"),
        helper.make_node("Expand", ["one", "huge"], ["big"], name="n"),
    ],
    ids=lambda node: node.op_type,
)
def test_numbers_that_fill_the_memory(node, tmp_path):
    nodes = [
        node,
        helper.make_node("Cast", ["big"], ["floats"], to=1),
        helper.make_node("Mul", ["x", "floats"], ["a"]),
        helper.make_node("Mul", ["a", "w"], ["y"]),
    ]
    constants = {
        "huge": i64(10**6, 10**6), "zero": np.array(0), "one": np.array(1),
        "many": np.array(10**12), "many1": i64(10**12), "w": numbers(3),
    }  # fmt: skip
    loaded = read_onnx(onnx_models.save(onnx_models.model(nodes, constants), tmp_path))
    message = re.escape("node 'n'") + r".* would fill [0-9]+ numbers, more than the 16777216"
    with pytest.raises(InputError, match=message):
        loaded.module(torch.zeros(1, 3))
