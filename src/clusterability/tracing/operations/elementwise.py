"""Rules for elementwise functions of one or several tensors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from clusterability.tracing.functions import LIMIT, flat_ends, range_of
from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.operations.bounds import bounded, settled_by
from clusterability.tracing.operations.factors import (
    by_constant,
    by_number,
    exact,
    with_shifts_times,
)
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import Product, Value
from clusterability.tracing.provenance import chosen, gated, joined, moved
from clusterability.tracing.shifts import (
    has_shifts,
    settled,
    shifts_times,
    with_lasting_shifts,
)
from clusterability.tracing.zeros import cleared, with_zeros

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "celu", "selu", "gelu", "silu"),
    *("mish", "sigmoid", "log_sigmoid", "hardsigmoid", "hardswish", "hardtanh", "hardshrink"),
    *("softshrink", "softplus", "tanh", "threshold", "softmax", "_softmax", "log_softmax"),
    *("_log_softmax", "sin", "cos", "tan", "atan", "asinh", "exp", "exp2", "expm1"),
    "log",
    *("log2", "log10", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "abs", "sign"),
    *("erf", "erfc", "pow", "floor", "ceil", "round"),
    *("nan_to_num", "logit", "sgn", "frac", "trunc", "logical_not", "absolute"),
    *("fix", "arctan", "arcsinh", "asin", "arcsin", "acos", "arccos", "sinh", "cosh", "atanh"),
    *("arctanh", "acosh", "arccosh", "sinc", "erfinv", "special_expit", "lgamma", "digamma"),
    *("i0", "isnan", "isinf", "signbit", "bitwise_not"),
)

UNCHANGED = (
    *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"),
    *("clone", "contiguous", "to", "_to_copy", "detach"),
    *("alias", "lift_fresh_copy", "positive", "deg2rad", "rad2deg"),
    *("real", "resolve_conj", "resolve_neg", "conj", "conj_physical"),
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
)


@rule(*(f"aten.{name}" for name in ACTIVATIONS))
def activating(call: Call) -> Value:
    """Pass values through an activation."""
    before = joined(call.values(), call.shape)
    value = call.nonlinear(settled_by(call, before))
    found = with_lasting_shifts(with_zeros(value, before, call.operation), call.operation)
    call.findings.ranges[found] = range_of(call.operation)
    return found


@rule(*(f"aten.{name}" for name in UNCHANGED))
def passing(call: Call) -> Value:
    """Pass values unchanged, or turned or in another unit; no element moves."""
    value = call.values()[0]
    return value if value.shape == call.shape else joined(call.values(), call.shape)


@rule("aten.neg", "aten.negative")
def negating(call: Call) -> Value:
    """Pass a value with the other sign, which its strengths have not."""
    return shifts_times(joined(call.values(), call.shape), -1)


@rule("aten.type_as")
def retyped(call: Call) -> Value:
    """Pass a value unchanged; of the other tensor only the type matters."""
    return joined([call.value("self")], call.shape)


@rule("aten.native_dropout")
def with_mask(call: Call) -> tuple[Value, ...]:
    """Return (output, mask); the mask depends on no neuron."""
    return joined(call.values(), call.shape), Value(call.shapes[1], ())


@rule(
    *("aten.atan2", "aten.copysign"),
    *("aten.eq", "aten.ne", "aten.gt", "aten.ge", "aten.lt", "aten.le", "aten.logaddexp"),
    *("aten.logical_xor", "aten.__xor__", "aten.bitwise_xor", "aten.not_equal", "aten.greater"),
    *("aten.greater_equal", "aten.less", "aten.less_equal", "aten.arctan2", "aten.hypot"),
    *("aten.fmod", "aten.remainder", "aten.xlogy"),
)
def choosing(call: Call) -> Value:
    """Choose between values, or compare them: the result depends on all of them."""
    ends = flat_ends(call.operation)
    found = chosen([settled_by(call, v) for v in call.values()], call.shape)
    bounds = [x for x in call.tensors() if isinstance(x, Constant)]
    if all(ends) and len(bounds) == 1:  # more than all numbers is no neuron
        far = math.inf if has_shifts(call.values()[0]) else LIMIT
        found = bounded(found, bounds[0], -far, far)
    return call.nonlinear(found)


@rule("aten.where")
def picking(call: Call) -> Value:
    """Choose where a constant mask says so; a choice by another value depends on all."""
    mask = call["condition"]
    if not isinstance(mask, Constant):
        return call.nonlinear(chosen(call.values(), call.shape))
    sides = [(call["self"], False), (call["other"], True)]
    return _filled(call, mask, sides)


@rule("aten.masked_fill")
def filling(call: Call) -> Value:
    """Fill what a constant mask marks; what another value marks depends on all."""
    mask = call["mask"]
    if not isinstance(mask, Constant):
        return call.nonlinear(chosen(call.values(), call.shape))
    sides = [(call["self"], True), (call["value"], False)]
    return _filled(call, mask, sides)


def _filled(call: Call, mask: Constant, sides: list[tuple[Any, bool]]) -> Value:
    """Return a choice between two sides by a mask, of which one may be numbers."""
    kept = [_masked(call, x, mask, inverted) for x, inverted in sides if isinstance(x, Value)]
    found = joined(kept, call.shape)
    others = [x for x, _ in sides if not isinstance(x, Value)]
    return found if all(map(_stays_zero, others)) else cleared(found)


def _stays_zero(number: Any) -> bool:
    """Whether a number, or all of a constant, is 0 and is not learned."""
    if isinstance(number, Constant):
        return not number.is_learned and not bool(number.evaluate().any())
    return not number


@rule(
    *("aten.logical_and", "aten.__and__", "aten.bitwise_and"),
    *("aten.logical_or", "aten.__or__", "aten.bitwise_or"),
)
def masking(call: Call) -> Value:
    """Compare values; beside a constant mask one counts where the mask does not decide."""
    values = call.values()
    masks = [x for x in call.tensors() if isinstance(x, Constant) and x.dtype == torch.bool]
    if len(values) == 1 and masks:
        is_or = "or" in call.operation
        masked = _masked(call, values[0], masks[0], inverted=is_or)
        return cleared(masked) if is_or else masked
    return call.nonlinear(chosen(values, call.shape))


def _masked(call: Call, value: Value, mask: Constant, inverted: bool) -> Value:
    return by_constant(joined([value], call.shape), mask, inverted=inverted)


@rule("aten.copy", "aten.fill")
def replacing(call: Call) -> Value:
    """Replace a tensor: overwritten values no longer contribute."""
    written = [v for key, v in call.arguments.items() if key != "self" and isinstance(v, Value)]
    return joined(written, call.shape)


@rule("aten.glu")
def gated_halves(call: Call) -> Value:
    """Multiply one half of an axis by a gate computed from the other half."""
    value = call.value("self")
    axis = int(call["dim"]) % len(value.shape)
    n = value.shape[axis] // 2
    halves = [
        moved([value], [value.shape], lambda x, i=i: x.narrow(axis, i * n, n), call.shape, axis)
        for i in range(2)
    ]
    half, function = halves[1], "aten.sigmoid"
    gate = with_zeros(cleared(settled(half, flat_ends(function))), half, function)
    return gated([halves[0], gate], call.shape)


@rule("aten.zero")
def constant(call: Call) -> Value:
    """Return zeros: only their shape comes from the input."""
    return Value(call.shape, ())


@rule("aten.mul", "aten.multiply")
def multiplying(call: Call) -> Value:
    """Multiply by a number, elementwise by a constant, or by another value as a gate."""
    return product_of(call, divides=False)


@rule("aten.div", "aten.true_divide", "aten.divide")
def dividing(call: Call) -> Value:
    """Divide as :func:`multiplying`; a constant divided by a value is an activation of it."""
    return quotient_of(call)


def quotient_of(call: Call) -> Value:
    first = call["self"]
    if isinstance(first, Value):
        return product_of(call, divides=True)
    inverse = call.nonlinear(call.value("other"))
    if not isinstance(first, Constant) or first.shape in ((), (1,)):
        return joined([inverse], call.shape)
    return product_of(replace(call, arguments={"self": first, "other": inverse}), divides=False)


@rule("aten.lerp")
def between(call: Call) -> Value:
    """Add two tensors, the one times 1 - ``weight``, the other times ``weight``."""
    start, end, weight = call["self"], call["end"], call["weight"]
    kept = [side for side in (start, end) if isinstance(side, Value)]
    if isinstance(weight, Value):
        gates = {id(start): cleared(weight), id(end): weight}  # that of the start is 1 - weight
        pairs = [[side, gates[id(side)]] for side in kept] or [[weight, weight]]
        return joined([gated(pair, call.shape) for pair in pairs], call.shape)
    if isinstance(weight, Constant):
        sides = [(start, True), (end, False)]
        return joined([_masked(call, x, weight, i) for x, i in sides if x in kept], call.shape)
    shares = [(start, 1 - weight), (end, weight)]
    return joined([multiplied(side, share) for side, share in shares if side in kept], call.shape)


def product_of(call: Call, divides: bool) -> Value:
    first, second = call["self"], call["other"]
    if isinstance(first, Value) and isinstance(second, Value):
        return gated([first, second], call.shape)
    value, other = (first, second) if isinstance(first, Value) else (second, first)
    whole = joined([value], call.shape)
    if isinstance(other, Constant):
        if other.is_random:
            raise call.refusal(
                "it multiplies by random numbers that trained ones go into, which are others in "
                "each forward pass; leave them out in evaluation, as dropout does"
            )
        whole = with_shifts_times(whole, other, divides)
        if divides:
            return exact(whole, value, other, divides=divides)
        return Product(
            call.shape,
            value,
            other,
            lambda: exact(whole, value, other, divides=divides).terms,
            lambda: by_constant(whole, other, divides=divides, averages=True),
        )
    if not isinstance(other, bool | int | float):
        raise call.refusal("it multiplies by something that is no number")
    return by_number(whole, float(other), divides)
