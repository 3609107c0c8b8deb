"""Rules for sums and differences of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from clusterability.tracing.functions import LIMIT
from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.operations.elementwise import product_of, quotient_of
from clusterability.tracing.operations.factors import aligned, by_constant, exact, is_mask
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import Product, Term, Value, alike, side_by_side
from clusterability.tracing.provenance import joined
from clusterability.tracing.shifts import as_shift, shifts_times
from clusterability.tracing.zeros import cleared

Part = tuple[Value, float]
"""A value, and the number that multiplies it."""


@rule("aten.add", "aten.sub", "aten.subtract", "aten.rsub")
def adding(call: Call) -> Value:
    """Add values, one of them times ``alpha``.

    Raises:
        InputError: if a running sum is taken away from itself at another place.
    """
    factors = {"self": 1.0, "other": 1.0}
    second = "self" if call.operation == "aten.rsub" else "other"
    alpha = call.arguments.get("alpha", 1)
    factors[second] = float(alpha) if isinstance(alpha, int | float) else 1.0
    if call.operation != "aten.add":
        factors[second] *= -1
    parts = [(call[k], n) for k, n in factors.items() if isinstance(call.arguments.get(k), Value)]
    if len({factor < 0 for _, factor in parts}) == 2 and _leave_windows(*(v for v, _ in parts)):
        raise call.refusal(
            "it takes a running sum away from another one, which leaves the sums of windows; write "
            "these as torch.nn.functional.avg_pool1d, or a normalization by its name"
        )
    total = _total(call, parts)
    for name, factor in factors.items():
        if isinstance(call.arguments.get(name), Constant):
            total = shifted(total, call[name], factor)
    return total if len(parts) == 2 else cleared(total)


@rule("aten.addcmul", "aten.addcdiv")
def adding_product(call: Call) -> Value:
    """Add a product, or a quotient, of two tensors, times ``value``."""
    first, second = call["tensor1"], call["tensor2"]
    parts = [(call["self"], 1.0)] if isinstance(call["self"], Value) else []
    if isinstance(first, Value) or isinstance(second, Value):
        pair = replace(call, arguments={"self": first, "other": second})
        divides = call.operation == "aten.addcdiv"
        product = quotient_of(pair) if divides else product_of(pair, divides=False)
        parts.append((product, float(call["value"])))
    return _total(call, parts)


def _leave_windows(first: Value, second: Value) -> bool:
    """Whether both are running sums of the same outputs, and one of them was moved."""
    mine, theirs = (
        [t for t in value.terms if t.origin.running and t.origin.statistic is None]
        for value in (first, second)
    )
    shared = {t.origin.operation for t in mine} & {t.origin.operation for t in theirs}
    mine, theirs = ([t for t in side if t.origin.operation in shared] for side in (mine, theirs))
    return bool(shared) and not (_all_among(mine, theirs) and _all_among(theirs, mine))


def _all_among(terms: Sequence[Term], others: Sequence[Term]) -> bool:
    return all(any(alike(term, other) for other in others) for term in terms)


def _total(call: Call, parts: Sequence[Part]) -> Value:
    """Return a sum of values, each times a number."""
    rest = _without_a_part(parts, call.shape)
    if rest is not None:
        return rest
    if len(parts) == 2:
        pairs = (parts, parts[::-1])
        parts = [(_of_one(call, value, other), n) for (value, n), (other, _) in pairs]
    return joined([_times(*part) for part in parts], call.shape)


def _of_one(call: Call, value: Value, other: Value) -> Value:
    """Return the layer that one neuron times trained numbers is, if each is added to another one.

    As in ``h + t * w``, where ``w`` is a layer of one input. Multiplied they would be a gate.
    """
    if not isinstance(value, Product) or not value.constant.is_trained:
        return value
    mine, theirs = (aligned(x.shape, call.shape) for x in (value.value, value.constant))
    axes = [axis for axis, size in enumerate(theirs) if size > 1]
    axis = axes[0] - len(call.shape) if len(axes) == 1 else 0
    if axis == 0 or mine[axis] != 1 or not _differs_along(other, axis, call.shape):
        return value
    return replace(call, shape=value.shape).weigh(
        joined([value.value], mine),
        value.constant.reshaped((theirs[axis], 1)),
        axis,
        n_outputs=theirs[axis],
        out_axis=axis,
        is_dense=True,
        layout="out-in",
    )


def _differs_along(value: Value, axis: int, shape: Sequence[int]) -> bool:
    """Whether a value holds other neurons at each place along an axis."""
    terms = side_by_side([value], shape)
    return any(term.labels.stride(axis) and not term.origin.enlarged for term in terms)


def _times(value: Value, number: float) -> Value:
    return shifts_times(value, number) if abs(number) == 1 else multiplied(value, number)


def _without_a_part(parts: Sequence[Part], shape: Sequence[int]) -> Value | None:
    """Return what is left of a value without a part of it, as in ``h - h * mask``, if it is that.

    Both would count else, as do two ways to the same neurons.
    """
    for (value, number), (product, share) in (parts, parts[::-1]) if len(parts) == 2 else ():
        if not isinstance(product, Product) or product.value is not value:
            continue
        constant, sign = product.constant, -share / number if number else 0.0
        assert isinstance(constant, Constant)
        if value.shape == tuple(shape) and _is_part(constant, sign):
            how = {"inverted": True} if sign > 0 else {"increased": True}
            return _times(exact(joined([value], shape), value, constant, **how), number)
    return None


def _is_part(constant: Constant, sign: float) -> bool:
    """Whether a constant, times 1 or -1, is what is taken of each neuron: 0, all, or between.

    Not a parameter, whose numbers change, unless it holds a mask's, since in ONNX files all numbers
    are parameters.
    """
    if abs(sign) != 1:
        return False
    if constant.is_trained:
        return sign > 0 and is_mask(constant)
    numbers = constant.evaluate() * sign
    return bool(((numbers >= 0) & (numbers <= 1)).all())


def shifted(value: Value, constant: Constant, factor: float) -> Value:
    """Return a value to which a constant was added; what is infinite then holds no neuron.

    Other very large numbers make one number of a neuron only where a function follows that is flat
    there, such as a softmax.
    """
    if not constant.dtype.is_floating_point or torch.Size(constant.shape).numel() < 2:
        return value
    if constant.is_learned:  # a bias
        return value
    numbers = constant.evaluate().abs() * abs(factor)
    large = numbers >= LIMIT
    if not bool(large.any()) or bool(large.all()):
        return value
    signs = torch.sign(constant.evaluate()[large])
    sign = int(signs[0]) if bool((signs == signs[0]).all()) else 0
    is_infinite = bool(numbers[large].isinf().all())
    terms = []
    for term in value.terms:
        (found,) = by_constant(replace(value, terms=(term,)), constant).terms
        is_scaled = len(found.origin.scales) > len(term.origin.scales)
        terms.append(as_shift(found, factor, sign) if is_scaled else term)
    total = Value(value.shape, tuple(terms))
    return by_constant(total, constant, kept=(-LIMIT, LIMIT)) if is_infinite else total
