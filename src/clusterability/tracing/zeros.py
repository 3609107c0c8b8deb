"""Masks in a product: where a mask makes one factor 0, the others go no further either.

The numbers of a mask are zeros of what it multiplied until something is added or a function makes
other numbers of zeros, as a sigmoid does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clusterability.tracing.functions import is_zero_at_low, is_zero_at_zero
from clusterability.tracing.origins import Origin, Term, Value, side_by_side, without_repeats
from clusterability.tracing.shifts import has_shifts
from clusterability.wiring.scales import Multiplier


def n_cleared_by(operation: str, origin: Origin) -> int:
    """Return of how many scales a function's output has no zeros, all unless it is 0 at 0."""
    return origin.n_cleared if is_zero_at_zero(operation) else len(origin.scales)


def cleared(value: Value) -> Value:
    """Return a value to which something was added, where it was 0 too."""
    if not any(_active(term.origin) for term in value.terms):
        return value
    terms = (
        replace(t, origin=replace(t.origin, n_cleared=len(t.origin.scales))) for t in value.terms
    )
    return Value(value.shape, tuple(terms))


def with_zeros(value: Value, before: Value, operation: str) -> Value:
    """Return a function's output, 0 where its argument was very small if the function is so there.

    Args:
        value: what the function returns, whose masks are the last scales.
        before: what it takes.
        operation: the function.
    """
    if not has_shifts(before):
        return value
    is_zero = is_zero_at_low(operation)
    pairs = zip(value.terms, before.terms, strict=True)
    return Value(value.shape, tuple(_with_zeros(*pair, is_zero) for pair in pairs))


def _with_zeros(term: Term, before: Term, is_zero: bool) -> Term:
    shifts, origin = before.origin.shifts, term.origin
    if not shifts:
        return term
    n_cleared = len(origin.scales)
    if is_zero and all(shift.sign * shift.factor < 0 for shift in shifts):
        n_cleared = min(origin.n_cleared, n_cleared - len(shifts))
    return replace(term, origin=replace(origin, n_cleared=n_cleared))


def masks_of(value: Value, shape: Sequence[int]) -> list[tuple[Multiplier, Tensor]]:
    """Return the masks that make a value 0, each with the entry that applies at each place."""
    if not value.terms or not all(_active(term.origin) for term in value.terms):
        return []
    terms = side_by_side([value], shape)
    found = []
    for scale, _ in _active(terms[0].origin):
        entries = _entries(scale, terms)
        if entries is not None:
            found.append((scale, entries.expand(tuple(shape))))
    return found


def _active(origin: Origin) -> list[tuple[Multiplier, Tensor]]:
    return [
        (scale, entries)
        for scale, entries in origin.scales[origin.n_cleared :]
        if isinstance(scale, Multiplier) and scale.is_mask
    ]


def _entries(scale: Multiplier, terms: Sequence[Term]) -> Tensor | None:
    """Return the entries of a mask at all places; None if some place or term has none."""
    labels = without_repeats(*(term.labels for term in terms))
    found = torch.full(labels[0].shape, -1)
    for term, held in zip(terms, labels, strict=True):
        own = [entries for other, entries in _active(term.origin) if other == scale]
        if not own:
            return None
        found = torch.where(held > 0, own[0][(held - 1).clamp_min(0)], found)
    return found if bool((found >= 0).all()) else None
