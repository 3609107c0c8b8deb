"""Masks by addition: constants of very large numbers, and the functions that make masks of them.

``relu(h - 1e9 * removed)`` is 0 whatever h is. Such a constant is remembered as a :class:`Shift` of
the outputs that it was added to, and becomes a mask where a function follows that is flat there.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from clusterability.tracing.functions import LIMIT, keeps_size
from clusterability.tracing.origins import Origin, Shift, Term, Value
from clusterability.wiring.scales import Multiplier, Scale


def has_shifts(value: Value) -> bool:
    """Whether very large numbers were added to a value, or to a part of it."""
    return any(term.origin.shifts for term in value.terms)


def without_shifts(value: Value) -> Value:
    """Return a value whose shifts are forgotten: they are no longer large beside its numbers."""
    if not has_shifts(value):
        return value
    terms = (replace(t, origin=replace(t.origin, shifts=())) for t in value.terms)
    return Value(value.shape, tuple(terms))


def with_lasting_shifts(value: Value, operation: str) -> Value:
    """Return a function's output with the shifts that are as large after it."""
    return value if keeps_size(operation) else without_shifts(value)


def shifts_times(value: Value, factor: float) -> Value:
    """Return a value whose shifts are multiplied by a number."""
    if not has_shifts(value):
        return value
    if factor == 0:
        return without_shifts(value)
    terms = []
    for term in value.terms:
        shifts = tuple(replace(s, factor=s.factor * factor) for s in term.origin.shifts)
        terms.append(replace(term, origin=replace(term.origin, shifts=shifts)))
    return Value(value.shape, tuple(terms))


def both_shifts(a: Origin, b: Origin) -> tuple[Shift, ...]:
    """Return the shifts of a sum of the same outputs."""
    own = {shift.scale for shift in a.shifts}
    return (*a.shifts, *(shift for shift in b.shifts if shift.scale not in own))


def as_shift(term: Term, factor: float, sign: int) -> Term:
    """Return a term with a shift in place of its last scale; ``sign`` is as in :class:`Shift`."""
    (*scales, (scale, entries)) = term.origin.scales
    same: list[Shift] = []
    others: list[Shift] = []
    for shift in term.origin.shifts:
        is_same = shift.scale == scale and torch.equal(shift.entries, entries)
        (same if is_same else others).append(shift)
    factor += sum(shift.factor for shift in same)  # 0 where it is taken away again
    assert isinstance(scale, Multiplier)
    new = [Shift(scale, entries, factor, sign)] if factor else []
    shifts = (*others, *new)
    return replace(term, origin=replace(term.origin, scales=tuple(scales), shifts=shifts))


def settled(value: Value, ends: tuple[bool, bool]) -> Value:
    """Return a value whose shifts are masks, as a function makes them that is flat at these ends.

    Args:
        value: what the function takes.
        ends: whether it is flat where its argument is very small, and where it is very large.
    """
    if not any(ends) or not has_shifts(value):
        return value
    terms = []
    for term in value.terms:
        masks = tuple(_mask(shift, ends) for shift in term.origin.shifts)
        origin = replace(term.origin, scales=(*term.origin.scales, *masks), shifts=())
        terms.append(replace(term, origin=origin))
    return Value(value.shape, tuple(terms))


def _mask(shift: Shift, ends: tuple[bool, bool]) -> tuple[Scale, Tensor]:
    low, high = ends if shift.factor > 0 else ends[::-1]
    limit = LIMIT / abs(shift.factor)
    kept = (-limit if low else -math.inf, limit if high else math.inf)
    return replace(shift.scale, kept=kept, is_mask=True), shift.entries
