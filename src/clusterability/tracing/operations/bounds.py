"""Rules for the larger and the smaller of two tensors, and for clamps between bounds.

A constant bound for each neuron is a mask where it lies beyond all that a neuron may hold.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from clusterability.tracing.functions import LIMIT, flat_ends
from clusterability.tracing.operations.factors import by_constant
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import Value
from clusterability.tracing.provenance import chosen, joined
from clusterability.tracing.shifts import has_shifts, settled


def settled_by(call: Call, value: Value) -> Value:
    """Return what a function takes, whose shifts are masks if they lie beyond all its numbers."""
    if not has_shifts(value):
        return value
    given = (x for x in call.arguments.values() if isinstance(x, Constant | int | float))
    return settled(value, flat_ends(call.operation)) if all(map(_is_near, given)) else value


def larger_or_smaller(call: Call) -> Value:
    """Return the larger or the smaller of two tensors, which depends on both."""
    is_upper = "min" in call.operation
    bounds = [x for x in call.tensors() if isinstance(x, Constant)]
    values = [settled_by(call, value) for value in call.values()]
    found = chosen(values, call.shape)
    if len(bounds) == len(values) == 1:
        low, high = _range_of(call, call.values()[0])
        found = bounded(found, bounds[0], *((low, math.inf) if is_upper else (-math.inf, high)))
    return call.nonlinear(found)


rule("aten.maximum", "aten.minimum", "aten.fmax", "aten.fmin")(larger_or_smaller)


@rule("aten.clamp", "aten.clip", "aten.clamp_min", "aten.clamp_max")
def clamping(call: Call) -> Value:
    """Keep a value between two bounds.

    Raises:
        InputError: if they meet at some neurons, which are then one number.
    """
    value, least, most = call["self"], call.arguments.get("min"), call.arguments.get("max")
    if not isinstance(value, Value) or isinstance(least, Value) or isinstance(most, Value):
        return call.nonlinear(chosen(call.values(), call.shape))
    if _meet(least, most):
        raise call.refusal(
            "its two bounds meet at some neurons, which are one number then; multiply by a mask "
            "instead"
        )
    low, high = _range_of(call, value)
    whole = joined([value], call.shape)
    found = settled(whole, (_is_near(least), _is_near(most))) if has_shifts(whole) else whole
    if isinstance(most, Constant):
        found = bounded(found, most, max(low, _number(least, low)), math.inf)
    if isinstance(least, Constant):
        found = bounded(found, least, -math.inf, min(high, _number(most, high)))
    return call.nonlinear(found)


def bounded(value: Value, bound: Constant, low: float, high: float) -> Value:
    """Return a value with a bound; a neuron goes on only where this lies between two numbers."""
    if bound.is_learned:
        return value
    numbers = bound.evaluate()
    removed = (numbers <= low) & (low > -math.inf) | (numbers >= high) & (high < math.inf)
    if numbers.numel() < 2 or not bool(removed.any()):
        return value
    return by_constant(value, bound, kept=(low, high))


def _range_of(call: Call, value: Value) -> tuple[float, float]:
    """Return between which numbers a value is taken to lie; unknown if it was shifted far."""
    far = math.inf if has_shifts(value) else LIMIT
    return call.findings.ranges.get(value, (-far, far))


def _is_near(bound: Any) -> bool:
    """Whether numbers are small beside very large ones; False if there are none."""
    if isinstance(bound, Constant):
        return bool((bound.evaluate().abs() < LIMIT).all())
    return bound is not None and abs(bound) < LIMIT


def _number(bound: Any, otherwise: float) -> float:
    return float(bound) if isinstance(bound, int | float) else otherwise


def _meet(least: Any, most: Any) -> bool:
    if not isinstance(least, Constant) or not isinstance(most, Constant):
        return False
    if least.is_learned or most.is_learned:
        return False
    return bool(torch.any(least.evaluate() >= most.evaluate()))
