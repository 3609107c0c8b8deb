"""One node of each ONNX operation, with its inputs, for the tests that compare operations."""

import numpy as np
from onnx import helper

import onnx_models

MAP = (2, 4, 6, 5)
F32 = np.float32


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(F32)


def i64(*values):
    return np.array(values, np.int64)


class Case:
    """One node on an input of some shape; constants are its further inputs in order."""

    def __init__(self, op, *constants, x=MAP, opset=18, n_outputs=1, positive=False, **attributes):
        self.op, self.constants, self.x, self.opset = op, constants, x, opset
        self.n_outputs, self.positive, self.attributes = n_outputs, positive, attributes

    def __repr__(self):
        shown = ",".join(f"{name}={value}" for name, value in self.attributes.items())
        return f"{self.op}-{self.opset}-{shown}"

    def model(self):
        names = [f"c{i}" if c is not None else "" for i, c in enumerate(self.constants)]
        outputs = [f"y{i}" for i in range(self.n_outputs)]
        node = helper.make_node(self.op, ["x", *names], outputs, name="it", **self.attributes)
        # A product with one weight, since a model without weights is refused.
        scaled = helper.make_node("Mul", ["x_in", "w"], ["x"])
        held = {name: c for name, c in zip(names, self.constants, strict=True) if name}
        return onnx_models.model(
            [scaled, node],
            held | {"w": np.full(1, 1.5, F32)},
            inputs={"x_in": self.x},
            opset=self.opset,
            outputs=outputs,
        )


POINTWISE = [
    Case(op)
    for op in [
        *("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish"),
        *("Identity", "LeakyRelu", "LogSoftmax", "Neg", "Relu", "Round", "Selu", "Sigmoid"),
        *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Shrink", "Sinh", "Tan"),
        *("Sign", "Sin", "Softmax", "Softplus", "Softsign", "Tanh", "Reciprocal", "Mish", "Celu"),
    ]
]
ACTIVATIONS = [
    Case("Sqrt", positive=True),
    Case("Log", positive=True),
    Case("Elu", alpha=0.7),
    Case("Selu", alpha=1.5, gamma=1.2),
    Case("Celu", alpha=2.0),
    Case("HardSigmoid", alpha=1 / 6, beta=0.5),
    Case("HardSigmoid", alpha=1.5, beta=0.25),
    Case("HardSigmoid", alpha=-0.5, beta=0.25),
    Case("HardSigmoid", alpha=0.0),
    Case("Shrink", lambd=0.3, bias=0.1),
    Case("LeakyRelu", alpha=0.3),
    Case("ThresholdedRelu", alpha=0.3),
    Case("Gelu", opset=20),
    Case("Gelu", opset=20, approximate="tanh"),
    Case("PRelu", numbers(4, 1, 1)),
    Case("PRelu", numbers(1)),
    Case("PRelu", numbers(6, 5)),
    Case("PRelu", numbers(3), x=(2, 3)),
    Case("Clip", np.array(-0.5, F32), np.array(0.5, F32)),
    Case("Clip", None, np.array(0.5, F32)),
    Case("Clip", opset=9, min=-0.3, max=0.4),
    Case("Clip"),
    Case("Softmax", axis=1),
    Case("LogSoftmax", axis=2),
    Case("Softmax", opset=11, axis=3),
    Case("LogSoftmax", opset=11, axis=1, x=(4, 5)),
    Case("Dropout", opset=10),
    Case("Dropout", np.array(0.5, F32), opset=13),
]
ARITHMETIC = [
    *(Case(op, numbers(4, 1, 1, seed=1)) for op in ("Add", "Sub", "Mul", "Div")),
    *(Case(op, np.array(2.0, F32)) for op in ("Add", "Sub", "Mul", "Div", "Pow")),
    *(Case(op, numbers(5, seed=1), numbers(1, seed=2)) for op in ("Max", "Min", "Sum", "Mean")),
    Case("Pow", np.full(5, 3.0, F32)),
    *(Case(op) for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL1", "ReduceL2")),
    Case("ReduceMean", i64(2, 3), keepdims=0),
    Case("ReduceMean", opset=13, axes=[2, 3]),
    Case("ReduceSum", i64(1), opset=13),
    Case("ReduceSum", opset=11, axes=[-1], keepdims=0),
    Case("ReduceSum", i64(), noop_with_empty_axes=1),
    Case("ReduceMax", i64(-1)),
    Case("ReduceMin", i64(1)),
    Case("ReduceL1", i64(1)),
    Case("ReduceL2", i64(1), keepdims=0),
    Case("ReduceSumSquare", i64(2)),
    Case("ReduceLogSumExp", i64(2)),
    Case("ReduceLogSum", i64(1), positive=True),
    Case("ReduceLogSum", opset=13, axes=[-1], keepdims=0, positive=True),
    Case("ArgMax"),
    Case("ArgMax", axis=-1, keepdims=0),
    Case("ArgMax", axis=1, select_last_index=1),
    Case("ArgMin", axis=2),
    Case("TopK", i64(2), n_outputs=2),
    Case("TopK", i64(3), n_outputs=2, axis=1, largest=0),
]
LINEAR = [
    Case("MatMul", numbers(3, 2), x=(5, 3)),
    Case("MatMul", numbers(3, 2), x=(2, 4, 3)),
    Case("MatMul", numbers(3), x=(5, 3)),
    Case("MatMul", numbers(2, 3, 4), x=(2, 5, 3)),
    Case("Gemm", numbers(3, 2), x=(5, 3)),
    Case("Gemm", numbers(2, 3), numbers(2, seed=1), x=(5, 3), transB=1),
    Case("Gemm", numbers(2, 3), numbers(1, 2), x=(3, 5), transA=1, transB=1, alpha=0.5, beta=2.0),
    Case("Gemm", numbers(3, 2), numbers(5, 1), x=(5, 3)),
    Case("Gemm", numbers(3, 2), np.array(1.5, F32), x=(5, 3)),
    Case("Einsum", numbers(3, 2), x=(5, 3), equation="ij,jk->ik"),
]
CONVOLUTIONS = [
    Case("Conv", numbers(3, 4, 3, 3)),
    Case("Conv", numbers(3, 4, 3, 3), numbers(3), pads=[1, 1, 1, 1], strides=[2, 1]),
    Case("Conv", numbers(3, 4, 3, 3), pads=[0, 1, 2, 0]),
    Case("Conv", numbers(6, 2, 2, 3), group=2, dilations=[2, 1]),
    Case("Conv", numbers(4, 1, 3, 3), group=4, auto_pad="SAME_UPPER", strides=[2, 2]),
    Case("Conv", numbers(3, 4, 2, 2), auto_pad="SAME_LOWER"),
    Case("Conv", numbers(3, 4, 3, 3), auto_pad="VALID"),
    Case("Conv", numbers(3, 4, 3), x=(2, 4, 9), pads=[2, 1]),
    Case("Conv", numbers(2, 2, 2, 2, 2), x=(1, 2, 4, 5, 3), pads=[1] * 6),
    Case("ConvTranspose", numbers(4, 3, 3, 3)),
    Case("ConvTranspose", numbers(4, 3, 3, 3), numbers(3), strides=[2, 2], pads=[1, 1, 1, 1]),
    Case("ConvTranspose", numbers(4, 3, 3, 3), strides=[3, 2], output_padding=[2, 1]),
    Case("ConvTranspose", numbers(4, 3, 3, 3), strides=[2, 2], pads=[0, 1, 1, 2]),
    Case(
        "ConvTranspose",
        numbers(4, 3, 3, 3),
        strides=[2, 2],
        pads=[0, 0, 1, 1],
        output_padding=[1, 1],
    ),
    Case("ConvTranspose", numbers(4, 1, 2, 2), group=4, strides=[2, 2]),
    Case("ConvTranspose", numbers(4, 3, 3), x=(2, 4, 5), dilations=[2]),
]
POOLING = [
    Case("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    Case("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    Case("MaxPool", kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2]),
    Case("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    Case("MaxPool", kernel_shape=[3], x=(2, 3, 8), strides=[2]),
    Case("MaxPool", kernel_shape=[2, 2], dilations=[2, 1]),
    Case("MaxPool", kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]),
    Case("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    Case("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    Case("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    Case("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 1, 0], count_include_pad=1),
    Case("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 1, 0]),
    Case("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    Case("GlobalAveragePool"),
    Case("GlobalMaxPool"),
    # The reference leaves out channels beyond the number of examples.
    Case("LRN", size=3, alpha=0.1, x=(5, 5, 2, 3)),
    Case("LRN", size=2, alpha=0.1, bias=2.0, x=(5, 5, 2, 3)),
]
NORMALIZATIONS = [
    Case("BatchNormalization", numbers(4), numbers(4), numbers(4), numbers(4) ** 2, epsilon=0.1),
    Case("BatchNormalization", *[numbers(3) ** 2] * 4, x=(5, 3), opset=15),
    Case("InstanceNormalization", numbers(4), numbers(4)),
    Case("LayerNormalization", numbers(5), numbers(5)),
    Case("RMSNormalization", numbers(5), opset=23),
    Case("RMSNormalization", numbers(1, 6, 1), axis=1, epsilon=0.01, opset=23),
    Case("LpNormalization", axis=1),
    Case("LpNormalization", p=1, positive=True),  # the reference sums without signs
    Case("MeanVarianceNormalization"),
    Case("MeanVarianceNormalization", axes=[1]),
    Case("LayerNormalization", numbers(4, 6, 5), axis=1, epsilon=0.01),
    Case("GroupNormalization", numbers(2), numbers(2), num_groups=2),
    Case("GroupNormalization", numbers(4), numbers(4), num_groups=2, opset=21),
]
SHAPES = [
    Case("Reshape", i64(0, -1)),
    Case("Reshape", i64(2, 2, 60)),
    Case("Flatten"),
    Case("Flatten", axis=0),
    Case("Flatten", axis=-1),
    Case("Flatten", x=(4,)),
    Case("Transpose"),
    Case("Transpose", perm=[0, 2, 3, 1]),
    Case("Squeeze", i64(1), x=(2, 1, 3)),
    Case("Squeeze", x=(2, 1, 3)),
    Case("Squeeze", x=(2, 1, 3, 1), opset=11, axes=[1, -1]),
    Case("Unsqueeze", i64(0, -1)),
    Case("Unsqueeze", opset=11, axes=[2]),
    Case("Concat", numbers(2, 3, 6, 5), axis=1),
    Case("Split", axis=1, num_outputs=3, n_outputs=3),
    Case("Split", i64(1, 3), axis=1, n_outputs=2),
    Case("Split", axis=1, opset=11, split=[3, 1], n_outputs=2),
    Case("Split", axis=1, opset=13, n_outputs=2),
    Case("Slice", i64(1), i64(3), i64(1)),
    Case("Slice", i64(-3, 0), i64(2**63 - 1, -1), i64(2, -1), i64(2, 3)),
    Case("Slice", i64(-1), i64(-(2**63)), i64(1), i64(-1)),
    Case("Slice", i64(4), i64(0), i64(2), i64(-2)),
    Case("Slice", i64(3), i64(1), i64(1)),
    Case("Slice", opset=9, starts=[1, 0], ends=[3, 4], axes=[1, 2]),
    Case("Gather", np.array(1), axis=1),
    Case("Gather", i64(2, 0, -1), axis=1),
    Case("Gather", np.array([[0, 1], [2, 3]]), axis=2),
    Case("Expand", i64(3, 1, 4, 6, 5), x=(4, 1, 5)),
    Case("Tile", i64(1, 2, 1, 3)),
    Case("Pad", i64(0, 0, 1, 2, 0, 0, 3, 0)),
    Case("Pad", i64(0, 1, 0, 0, 0, 2, 0, 0), np.array(1.5, F32)),
    Case("Pad", i64(1, 2), None, i64(-1)),
    Case("Pad", i64(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect"),
    Case("Pad", i64(0, 0, 1, 2, 0, 0, 3, 0), mode="edge"),
    Case("Pad", opset=10, pads=[0, 0, 1, 2, 0, 0, 1, 0], value=0.5),
    Case("DepthToSpace", blocksize=2, x=(2, 8, 3, 2)),
    Case("DepthToSpace", blocksize=2, x=(2, 8, 3, 2), mode="CRD"),
    Case("SpaceToDepth", blocksize=2, x=(2, 3, 4, 6)),
    Case("Cast", to=1),
    Case("CastLike", numbers(1)),
]
RESIZING = [
    Case("Upsample", np.array([1, 1, 2, 3], F32), opset=9),
    Case("Resize", None, np.array([1, 1, 2, 2], F32)),
    Case("Resize", None, np.array([1, 1, 2, 3], F32), nearest_mode="floor"),
    Case("Resize", None, np.array([1, 1, 0.6, 1.7], F32)),
    Case("Resize", None, None, i64(2, 4, 9, 3), coordinate_transformation_mode="asymmetric"),
    Case("Resize", None, None, i64(2, 4, 9, 7), coordinate_transformation_mode="align_corners"),
    Case("Resize", None, np.array([1, 1, 2, 2], F32), mode="linear"),
    Case(
        "Resize", None, None, i64(2, 4, 9, 8), mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    Case("Resize", None, np.array([1, 1, 1.5, 2], F32), mode="linear"),
    Case("Resize", None, np.array([1, 1, 2, 2], F32), mode="cubic"),
    Case("Resize", None, np.array([2, 2], F32), axes=[2, 3], mode="linear"),
]  # fmt: skip
CASES = [
    *(POINTWISE + ACTIVATIONS + ARITHMETIC + LINEAR + CONVOLUTIONS + POOLING),
    *(NORMALIZATIONS + SHAPES + RESIZING),
]
