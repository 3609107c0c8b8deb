"""ONNX's elementwise arithmetic, comparisons and reductions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from clusterability.reading.onnx.registry import (
    ONNX_OPERATIONS,
    NodeCall,
    NodeValue,
    OnnxOperation,
    operation,
)

_ONE_INPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Log": torch.log,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
}
# Either input may be a Python number.
_TWO_INPUTS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Pow": lambda a, b: a**b,
    "Equal": lambda a, b: a == b,
    "Greater": lambda a, b: a > b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "Less": lambda a, b: a < b,
    "LessOrEqual": lambda a, b: a <= b,
    "And": lambda a, b: a & b,
    "Or": lambda a, b: a | b,
}
_MANY_INPUTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": torch.add,
}
_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keep),
}


def _register_tables() -> None:
    for name, one in _ONE_INPUT.items():
        ONNX_OPERATIONS[name] = OnnxOperation(lambda _call, x, f=one: f(x))
    for name, two in _TWO_INPUTS.items():
        ONNX_OPERATIONS[name] = OnnxOperation(lambda _call, a, b, f=two: f(a, b), scalars=True)
    for name, many in _MANY_INPUTS.items():
        ONNX_OPERATIONS[name] = OnnxOperation(lambda _call, *xs, f=many: reduce(f, xs))
    for name, reduction in _REDUCTIONS.items():
        function = _reduction(reduction)
        ONNX_OPERATIONS[name] = OnnxOperation(function, numbers=(1,))


def _reduction(compute: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def reduced(call: NodeCall, x: Tensor, given: NodeValue = None) -> Tensor:
        axes = call.axes(given)
        if not axes:
            if call.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.ndim))
        return compute(x, axes, bool(call.get("keepdims", 1)))

    return reduced


_register_tables()


@operation("Div", scalars=True)
def _div(_call: NodeCall, a: Any, b: Any) -> Any:
    whole = not any(isinstance(x, float) or _is_float(x) for x in (a, b))
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def _is_float(x: object) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


@operation("Mean")
def _mean(_call: NodeCall, *xs: Tensor) -> Tensor:
    total = reduce(torch.add, xs)
    return total / len(xs) if len(xs) > 1 else total


@operation("Where", scalars=True)
def _where(_call: NodeCall, condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, bool):
        # torch.where needs a tensor, as the result may still broadcast.
        condition = torch.tensor(condition)
    return torch.where(condition, a, b)


@operation("ArgMax", "ArgMin")
def _extreme(call: NodeCall, x: Tensor) -> Tensor:
    axis, keep = call.get("axis", 0), bool(call.get("keepdims", 1))
    find = torch.argmax if call.node.op_type == "ArgMax" else torch.argmin
    if not call.get("select_last_index", 0):
        return find(x, axis, keep)
    from_end: Tensor = find(x.flip(axis), axis, keep) * -1
    return from_end + (int(x.shape[axis]) - 1)


@operation("TopK", numbers=(1,))
def _top(call: NodeCall, x: Tensor, given: NodeValue = None) -> tuple[Tensor, ...]:
    sizes = call.axes(given, "k")
    if not sizes:
        raise call.refusal("has no number of elements; export the model again")
    largest = bool(call.get("largest", 1))
    return tuple(torch.topk(x, sizes[0], call.get("axis", -1), largest))


@operation("ai.onnx.ml.ArrayFeatureExtractor")
def _taken(_call: NodeCall, x: Tensor, places: Tensor) -> Tensor:
    taken = x.index_select(-1, places.flatten())
    return taken if x.ndim > 1 else taken.unsqueeze(0)


@operation("ai.onnx.ml.ZipMap")
def _by_class(_call: NodeCall, x: Tensor) -> Tensor:
    """Return the probabilities, which lie in one dictionary for each input."""
    return x
