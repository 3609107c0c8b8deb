"""Rules for elementwise functions of one or several tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import INPUT, Product, Term, Value
from clusterability.tracing.places import are_copies
from clusterability.tracing.provenance import chosen, gated, joined, moved, multiplied, scaled
from clusterability.wiring.scales import Multiplier

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "celu", "selu", "gelu", "silu"),
    *("mish", "sigmoid", "log_sigmoid", "hardsigmoid", "hardswish", "hardtanh", "hardshrink"),
    *("softshrink", "softplus", "tanh", "threshold", "softmax", "_softmax", "log_softmax"),
    *("_log_softmax", "sin", "cos", "tan", "atan", "asinh", "exp", "exp2", "expm1"),
    "log",
    *("log2", "log10", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "abs", "sign"),
    *("erf", "erfc", "pow", "clamp", "clamp_min", "clamp_max", "clip", "floor", "ceil", "round"),
    *("nan_to_num", "logit", "sgn", "frac", "trunc", "logical_not", "absolute"),
    *("fix", "arctan", "arcsinh", "asin", "arcsin", "acos", "arccos", "sinh", "cosh", "atanh"),
    *("arctanh", "acosh", "arccosh", "sinc", "erfinv", "special_expit", "lgamma", "digamma"),
    *("i0", "isnan", "isinf", "signbit", "bitwise_not"),
)

UNCHANGED = (
    *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"),
    *("clone", "contiguous", "to", "_to_copy", "detach"),
    *("alias", "lift_fresh_copy", "neg", "negative", "positive", "deg2rad", "rad2deg"),
    *("real", "resolve_conj", "resolve_neg", "conj", "conj_physical"),
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
)


@rule(*(f"aten.{name}" for name in ACTIVATIONS))
def activating(call: Call) -> Value:
    """Pass values through an activation."""
    return call.nonlinear(joined(call.values(), call.shape))


@rule(*(f"aten.{name}" for name in UNCHANGED))
def passing(call: Call) -> Value:
    """Pass values unchanged, or turned or in another unit; no element moves."""
    return joined(call.values(), call.shape)


@rule("aten.type_as")
def retyped(call: Call) -> Value:
    """Pass a value unchanged; of the other tensor only the type matters."""
    return joined([call.value("self")], call.shape)


@rule("aten.native_dropout")
def with_mask(call: Call) -> tuple[Value, ...]:
    """Return (output, mask); the mask depends on no neuron."""
    return joined(call.values(), call.shape), Value(call.shapes[1], ())


@rule(
    *("aten.maximum", "aten.minimum", "aten.fmax", "aten.fmin", "aten.atan2", "aten.copysign"),
    *("aten.eq", "aten.ne", "aten.gt", "aten.ge", "aten.lt", "aten.le", "aten.logaddexp"),
    *("aten.logical_xor", "aten.__xor__", "aten.bitwise_xor", "aten.not_equal", "aten.greater"),
    *("aten.greater_equal", "aten.less", "aten.less_equal", "aten.arctan2", "aten.hypot"),
    *("aten.fmod", "aten.remainder", "aten.xlogy"),
)
def choosing(call: Call) -> Value:
    """Choose between values, or compare them: the result depends on all of them."""
    return call.nonlinear(chosen(call.values(), call.shape))


@rule("aten.where")
def picking(call: Call) -> Value:
    """Choose where a constant mask says so; a choice by another value depends on all."""
    mask = call["condition"]
    if not isinstance(mask, Constant):
        return call.nonlinear(chosen(call.values(), call.shape))
    sides = [(call["self"], False), (call["other"], True)]
    kept = [_masked(call, x, mask, inverted) for x, inverted in sides if isinstance(x, Value)]
    return joined(kept, call.shape)


@rule("aten.masked_fill")
def filling(call: Call) -> Value:
    """Fill what a constant mask marks; what another value marks depends on all."""
    mask = call["mask"]
    if not isinstance(mask, Constant):
        return call.nonlinear(chosen(call.values(), call.shape))
    sides = [(call["self"], True), (call["value"], False)]
    kept = [_masked(call, x, mask, inverted) for x, inverted in sides if isinstance(x, Value)]
    return joined(kept, call.shape)


@rule(
    *("aten.logical_and", "aten.__and__", "aten.bitwise_and"),
    *("aten.logical_or", "aten.__or__", "aten.bitwise_or"),
)
def masking(call: Call) -> Value:
    """Compare values; beside a constant mask one counts where the mask does not decide."""
    values = call.values()
    masks = [x for x in call.tensors() if isinstance(x, Constant) and x.dtype == torch.bool]
    if len(values) == 1 and masks:
        return _masked(call, values[0], masks[0], inverted="or" in call.operation)
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
    return gated(halves, call.shape)


@rule("aten.add", "aten.sub", "aten.subtract", "aten.rsub")
def adding(call: Call) -> Value:
    """Add values, one of them times ``alpha``."""
    values = {key: arg for key, arg in call.arguments.items() if isinstance(arg, Value)}
    alpha = call.arguments.get("alpha", 1)
    times_alpha = "self" if call.operation == "aten.rsub" else "other"
    if isinstance(alpha, int | float) and alpha != 1 and times_alpha in values:
        values[times_alpha] = multiplied(values[times_alpha], float(alpha))
    return joined(list(values.values()), call.shape)


@rule("aten.zero")
def constant(call: Call) -> Value:
    """Return zeros: only their shape comes from the input."""
    return Value(call.shape, ())


@rule("aten.mul", "aten.multiply")
def multiplying(call: Call) -> Value:
    """Multiply by a number, elementwise by a constant, or by another value as a gate."""
    return _multiplied(call, divides=False)


@rule("aten.div", "aten.true_divide", "aten.divide")
def dividing(call: Call) -> Value:
    """Divide as :func:`multiplying`; a constant divided by a value is an activation of it."""
    return _quotient(call)


def _quotient(call: Call) -> Value:
    first = call["self"]
    if isinstance(first, Value):
        return _multiplied(call, divides=True)
    inverse = call.nonlinear(call.value("other"))
    if not isinstance(first, Constant) or first.shape in ((), (1,)):
        return joined([inverse], call.shape)
    return _multiplied(replace(call, arguments={"self": first, "other": inverse}), divides=False)


@rule("aten.addcmul", "aten.addcdiv")
def adding_product(call: Call) -> Value:
    """Add a product, or a quotient, of two tensors, times ``value``."""
    first, second = call["tensor1"], call["tensor2"]
    added = [call["self"]] if isinstance(call["self"], Value) else []
    if isinstance(first, Value) or isinstance(second, Value):
        pair = replace(call, arguments={"self": first, "other": second})
        product = _quotient(pair) if call.operation == "aten.addcdiv" else _multiplied(pair, False)
        added.append(multiplied(product, float(call["value"])))
    return joined(added, call.shape)


@rule("aten.lerp")
def between(call: Call) -> Value:
    """Add two tensors, the one times 1 - ``weight``, the other times ``weight``."""
    start, end, weight = call["self"], call["end"], call["weight"]
    kept = [side for side in (start, end) if isinstance(side, Value)]
    if isinstance(weight, Value):
        return joined([gated([side, weight], call.shape) for side in kept or [weight]], call.shape)
    if isinstance(weight, Constant):
        sides = [(start, True), (end, False)]
        return joined([_masked(call, x, weight, i) for x, i in sides if x in kept], call.shape)
    shares = [(start, 1 - weight), (end, weight)]
    return joined([multiplied(side, share) for side, share in shares if side in kept], call.shape)


def _multiplied(call: Call, divides: bool) -> Value:
    first, second = call["self"], call["other"]
    if isinstance(first, Value) and isinstance(second, Value):
        return gated([first, second], call.shape)
    value, other = (first, second) if isinstance(first, Value) else (second, first)
    whole = joined([value], call.shape)
    if isinstance(other, Constant):
        if divides:
            return _exact(whole, value, other, divides)
        return Product(
            call.shape,
            value,
            other,
            lambda: _exact(whole, value, other, divides).terms,
            lambda: by_constant(whole, other, divides, averages=True),
        )
    if not isinstance(other, bool | int | float):
        raise call.refusal("it multiplies by something that is no number")
    return _by_number(whole, float(other), divides)


def by_constant(
    value: Value,
    constant: Constant,
    divides: bool = False,
    inverted: bool = False,
    averages: bool = False,
) -> Value:
    """Return the value times, or divided by, a constant that broadcasts to its shape.

    Args:
        value: what is multiplied.
        constant: by which.
        divides: whether it divides.
        inverted: whether it is a mask, whose complement multiplies.
        averages: whether copies of an element have one scale, the mean of theirs, as for a sum.
    """
    shape = aligned(constant.shape, value.shape)
    terms: list[Term] = []
    for term in value.terms:
        # An axis with repeated labels holds the pixels of one neuron, which has one scale.
        repeating = (a for a, size in enumerate(shape) if size > 1 and not term.labels.stride(a))
        averaged = tuple(axis for axis in repeating if averages or not are_copies(term, axis))
        kept = [1 if axis in averaged else size for axis, size in enumerate(shape)]
        scale = Multiplier(
            constant.name,
            divides,
            is_number=constant.shape in ((), (1,)),
            shape=shape if averaged else (),
            averaged=averaged,
            inverted=inverted,
        )
        n_entries = math.prod(kept)
        entries = torch.arange(n_entries).view(kept).expand(value.shape)
        terms += scaled(Value(value.shape, (term,)), scale, entries, n_entries).terms
    return Value(value.shape, tuple(terms))


def _exact(whole: Value, value: Value, constant: Constant, divides: bool) -> Value:
    """Return a product, marked if each of several outputs has a factor for each neuron."""
    product = by_constant(whole, constant, divides)
    by_matrix = is_matrix(value, constant, product.shape) or _has_copies(whole, constant)
    enlarged = constant.is_trained and _enlarges(value, constant, product.shape)
    if not (by_matrix or enlarged):
        return product
    terms = []
    for term in product.terms:
        origin = term.origin
        of_neurons = enlarged and origin.statistic is None
        marks = origin.by_matrix or by_matrix, origin.enlarged or of_neurons
        origin = replace(origin, by_matrix=marks[0], enlarged=marks[1])
        terms.append(replace(term, origin=origin))
    return replace(product, terms=tuple(terms))


def _enlarges(value: Value, constant: Constant, shape: Sequence[int]) -> bool:
    """Whether a constant has several numbers for each of some elements."""
    sizes = zip(aligned(value.shape, shape), aligned(constant.shape, shape), strict=True)
    if any(mine == 1 < other for mine, other in sizes):
        return True
    terms = joined([value], shape).terms
    axes = [i for i, size in enumerate(aligned(constant.shape, shape)) if size > 1]
    return bool(terms) and any(all(_repeats(term, axis) for term in terms) for axis in axes)


def _repeats(term: Term, axis: int) -> bool:
    of_input = term.origin.operation == INPUT and not term.labels.stride(axis)
    return of_input or are_copies(term, axis)


def _has_copies(value: Value, constant: Constant) -> bool:
    """Whether a constant differs along copies of elements, and along other axes of them too."""
    axes = [i for i, size in enumerate(aligned(constant.shape, value.shape)) if size > 1]
    return any(
        any(are_copies(term, axis) for axis in axes) and any(term.labels.stride(a) for a in axes)
        for term in value.terms
        if len(axes) > 1
    )


def is_matrix(value: Value, constant: Constant, shape: Sequence[int]) -> bool:
    """Whether a constant has axes that a value has, and others along which it repeats."""
    sizes = aligned(value.shape, shape), aligned(constant.shape, shape)
    pairs = [(mine > 1, other > 1) for mine, other in zip(*sizes, strict=True)]
    return (True, True) in pairs and (False, True) in pairs


def aligned(sizes: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return sizes that broadcast to a shape, with as many axes as it has."""
    return (*[1] * (len(shape) - len(sizes)), *sizes)


def _by_number(value: Value, number: float, divides: bool) -> Value:
    if divides:
        number = math.inf if number == 0 else 1 / number
    return multiplied(value, number) if math.isfinite(number) else value
