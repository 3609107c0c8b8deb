"""Rules for weight operations: linear layers and convolutions."""

from __future__ import annotations

from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.operations.addition import shifted
from clusterability.tracing.operations.contractions import by_vector, of_batches
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.operations.stacks import weighed
from clusterability.tracing.origins import Value
from clusterability.tracing.provenance import joined


@rule("aten.linear")
def linear(call: Call) -> Value:
    weight = call["weight"]
    reads = call.value("input") if isinstance(weight, Constant) else call["input"]
    n_outputs = weight.shape[0]
    out = weighed(call, reads, weight, -1, n_outputs=n_outputs, out_axis=-1)
    return _with_bias(call, out, call["bias"])


@rule("aten.matmul", "aten.mm", "aten.mv", "aten.bmm")
def matmul(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    return _product(call, first, second)


@rule("aten.addmm", "aten.addmv", "aten.baddbmm")
def addmm(call: Call) -> Value:
    bias, first, second = list(call.tensors())[:3]
    out = multiplied(_product(call, first, second), float(call["alpha"]))
    if isinstance(bias, Value):
        bias = multiplied(bias, float(call["beta"]))
    return _with_bias(call, out, bias)


def _product(call: Call, first: Value | Constant, second: Value | Constant) -> Value:
    if isinstance(first, Value) and isinstance(second, Constant):
        if len(second.shape) > 2:
            return of_batches(call, first, second, is_first=True)
        if len(second.shape) < 2:
            return by_vector(call, first, second, -1)
        n_outputs = second.shape[1]
        return weighed(call, first, second, -1, n_outputs=n_outputs, out_axis=-1, layout="in-out")
    if isinstance(first, Constant) and isinstance(second, Value):
        if len(first.shape) > 2:
            return of_batches(call, second, first, is_first=False)
        axis = -1 if len(second.shape) == 1 else -2
        if len(first.shape) < 2:
            return by_vector(call, second, first, axis)
        return weighed(call, second, first, axis, n_outputs=first.shape[0], out_axis=axis)
    assert isinstance(first, Value)
    return call.weigh(first, second, -1, n_outputs=0, out_axis=-1, is_dense=True)


@rule("aten.conv1d", "aten.conv2d", "aten.conv3d")
def convolution(call: Call) -> Value:
    return _convolved(call, transposed=False)


@rule("aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d")
def transposed_convolution(call: Call) -> Value:
    return _convolved(call, transposed=True)


@rule("aten.convolution")
def any_convolution(call: Call) -> Value:
    return _convolved(call, transposed=bool(call["transposed"]))


def _convolved(call: Call, transposed: bool) -> Value:
    weight, groups = call["weight"], int(call["groups"])
    reads = call["input"]
    if isinstance(weight, Constant) and not isinstance(reads, Value):
        reads = call.value("input")
    n_axes = len(weight.shape) - 2
    axis = -1 - n_axes  # an image may come without a batch axis
    n_outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    out = call.weigh(
        reads,
        weight,
        axis,
        n_outputs=n_outputs,
        out_axis=axis,
        is_dense=False,
        groups=groups,
        transposed=transposed,
    )
    return _with_bias(call, out, call["bias"])


def _with_bias(call: Call, out: Value, bias: object) -> Value:
    if isinstance(bias, Constant) and not bias.is_trained:
        return shifted(out, bias, 1.0)
    return joined([out, bias], call.shape) if isinstance(bias, Value) else out
