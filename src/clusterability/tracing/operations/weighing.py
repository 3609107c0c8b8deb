"""Rules for weight operations: linear layers and convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import Value
from clusterability.tracing.provenance import joined, multiplied

_REMEDY = "write it as torch.nn.Linear or torch.matmul with a constant matrix"


@rule("aten.linear")
def linear(call: Call) -> Value:
    weight = call["weight"]
    reads = call.value("input") if isinstance(weight, Constant) else call["input"]
    n_outputs = weight.shape[0]
    out = call.weigh(reads, weight, -1, n_outputs=n_outputs, out_axis=-1, is_dense=True)
    return _with_bias(call, out, call["bias"])


@rule("aten.matmul", "aten.mm", "aten.mv")
def matmul(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    return _product(call, first, second)


@rule("aten.addmm", "aten.addmv")
def addmm(call: Call) -> Value:
    bias, first, second = list(call.tensors())[:3]
    out = multiplied(_product(call, first, second), float(call["alpha"]))
    if isinstance(bias, Value):
        bias = multiplied(bias, float(call["beta"]))
    return _with_bias(call, out, bias)


def _product(call: Call, first: Value | Constant, second: Value | Constant) -> Value:
    if isinstance(first, Value) and isinstance(second, Constant):
        if len(second.shape) != 2:
            raise call.refusal(f"its matrix has shape {second.shape}, expected 2 axes")
        return call.weigh(
            first,
            second,
            -1,
            n_outputs=second.shape[1],
            out_axis=-1,
            is_dense=True,
            layout="in-out",
        )
    if isinstance(first, Constant) and isinstance(second, Value):
        if len(first.shape) != 2:
            raise call.refusal(f"its matrix has shape {first.shape}, expected 2 axes")
        axis = -1 if len(second.shape) == 1 else -2
        return call.weigh(
            second, first, axis, n_outputs=first.shape[0], out_axis=axis, is_dense=True
        )
    assert isinstance(first, Value)
    return call.weigh(first, second, -1, n_outputs=0, out_axis=-1, is_dense=True)


@rule("aten.inner")
def inner(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    if isinstance(first, Value):
        return _contracted(call, first, second, -1, 1, -1)
    assert isinstance(second, Value)
    return _contracted(call, second, first, -1, 1, 0)


@rule("aten.tensordot")
def tensordot(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    of_first, of_second = list(call["dims_self"]), list(call["dims_other"])
    if len(of_first) != 1:
        raise call.refusal(f"it sums over {len(of_first)} axes; {_REMEDY}")
    if isinstance(first, Value):
        return _contracted(call, first, second, of_first[0], of_second[0], -1)
    assert isinstance(second, Value)
    return _contracted(call, second, first, of_second[0], of_first[0], 0)


@rule("aten.einsum")
def einsum(call: Call) -> Value:
    """Follow a sum over one axis that a value and a matrix share."""
    tensors = list(call.tensors())
    value = next(tensor for tensor in tensors if isinstance(tensor, Value))
    terms, out = _letters(str(call["equation"]), [len(tensor.shape) for tensor in tensors])
    if len(tensors) != 2 or any(len({*term}) < len(term) for term in terms):
        raise call.refusal(_REMEDY)
    first = tensors[0] is value
    other, (mine, theirs) = tensors[first], terms if first else terms[::-1]
    summed = {*mine} - {*out}
    if {*mine} & {*theirs} != summed or len(summed) != 1 or len(theirs) != 2:
        if isinstance(other, Value):
            return _contracted(call, value, other, -1, 1, -1)
        raise call.refusal(_REMEDY)
    (letter,) = summed
    place = theirs.index(letter)
    return _contracted(call, value, other, mine.index(letter), place, out.index(theirs[1 - place]))


def _letters(equation: str, n_axes: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand's axes, and of the result's; digits for an ellipsis."""
    before, arrow, out = equation.replace(" ", "").partition("->")
    given = before.split(",")
    missing = [n - len(t.replace("...", "")) for t, n in zip(given, n_axes, strict=True)]
    digits = [chr(ord("0") + i) for i in range(max(missing))]
    terms = [
        term.replace("...", "".join(digits[len(digits) - n :]))
        for term, n in zip(given, missing, strict=True)
    ]
    if not arrow:
        together = "".join(terms)
        out = "..." + "".join(sorted(c for c in {*together} - {*digits} if together.count(c) == 1))
    return terms, out.replace("...", "".join(digits))


def _contracted(
    call: Call, value: Value, constant: Value | Constant, axis: int, place: int, out_axis: int
) -> Value:
    """Return the sum over an axis of a value and an axis, ``place``, of a matrix."""
    if isinstance(constant, Constant) and len(constant.shape) != 2:
        raise call.refusal(f"its matrix has shape {constant.shape}, expected 2 axes")
    place = place % 2
    return call.weigh(
        value,
        constant,
        axis,
        n_outputs=constant.shape[1 - place],
        out_axis=out_axis,
        is_dense=True,
        layout="out-in" if place else "in-out",
    )


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
    return joined([out, bias], call.shape) if isinstance(bias, Value) else out
