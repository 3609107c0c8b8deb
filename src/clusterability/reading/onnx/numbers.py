"""Arithmetic on shapes and other plain numbers, outside torch and therefore outside the trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clusterability.errors import InputError
from clusterability.reading.onnx.graph import Array, GraphNode

# fmt: off
_PLAIN = frozenset({
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal",
    "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less",
    "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Range", "ReduceMax",
    "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Slice", "Split", "Sqrt",
    "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
_MAX_ELEMENTS = 2**24


def is_plain(node: GraphNode) -> bool:
    """Whether a node can be computed with NumPy alone, once its inputs are known."""
    return node.op_type in _PLAIN


def compute(node: GraphNode, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
    """Return the outputs of a node with known inputs, by ONNX's own reference implementation.

    Raises:
        InputError: if the result would be far larger than any shape.
    """
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    _check_size(node, inputs)
    attributes = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, **attributes)
    feeds = {
        name: array
        for name, array in zip(node.inputs, inputs, strict=True)
        if name and array is not None
    }
    # The reference implementation ignores types, but a graph must declare them.
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in feeds]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.outputs]
    graph = helper.make_graph([proto], "plain", values, given)
    results = ReferenceEvaluator(graph, opsets={"": node.opset}).run(None, feeds)
    return tuple(np.asarray(result) for result in results)


def _check_size(node: GraphNode, inputs: Sequence[Array | None]) -> None:
    """Refuse results that would fill the memory, as their sizes come from the file."""
    arrays = [array for array in inputs if array is not None]
    n_elements = _GROWING.get(node.op_type, _broadcast_size)(*arrays)
    if n_elements > _MAX_ELEMENTS:
        raise InputError(
            f"{node.shown} would fill {n_elements} numbers, more than the {_MAX_ELEMENTS} that are "
            "computed outside the network; export the model again with constants folded"
        )


def _broadcast_size(*arrays: Array) -> int:
    """Return the number of elements after broadcasting, or more where shapes do not fit."""
    shapes = [array.shape[::-1] for array in arrays]
    n_axes = max(map(len, shapes), default=0)
    return math.prod(max(s[i] for s in shapes if i < len(s)) for i in range(n_axes))


def _product(sizes: Array) -> int:
    return math.prod(max(0, int(size)) for size in np.ravel(sizes))


_GROWING: Mapping[str, Callable[..., int]] = {
    "ConstantOfShape": _product,
    "Expand": lambda array, shape: _broadcast_size(array, np.broadcast_to(0, tuple(shape))),
    "Gather": lambda array, indices: array.size * max(1, indices.size),
    "Tile": lambda array, repeats: array.size * _product(repeats),
    "Range": lambda start, limit, delta: abs(int((limit - start) / delta)) if delta else 0,
}
