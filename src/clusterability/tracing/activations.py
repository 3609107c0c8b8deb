"""Activations written as several functions of one value, such as x - tanh(x) or x * sigmoid(x).

A sum of outputs of a weight and a nonlinear function of the same outputs is an activation: it holds
them once, as it would under a name of its own. What multiplies only some of its parts belongs to
it, like the slope of a PReLU written as relu(x) - slope * relu(-x).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from clusterability.tracing.origins import (
    Origin,
    Term,
    of_elements,
    same_labels,
    without_repeats,
)

PRODUCT = -1
"""The function of what has passed through a product of two values."""


def is_nonlinear(a: Origin, b: Origin) -> bool:
    """Whether outputs have come two ways that differ by more than factors and scales."""
    return a.gated or b.gated or a.function != b.function


def without_factors(term: Term) -> Term:
    """Return a term as it goes into an activation: numbers that multiply it belong to this."""
    scales = tuple(pair for pair in term.origin.scales if not pair[0].is_number)
    before = term.origin.scales[: term.origin.n_cleared]
    n_cleared = sum(not scale.is_number for scale, _ in before)
    origin = replace(term.origin, scales=scales, factor=1.0, gated=True, n_cleared=n_cleared)
    return replace(term, origin=origin)


def held_once(first: Term, second: Term) -> Term | None:
    """Return the term that two terms of the same outputs have in common; None if there is none.

    It has the scales that both have and the larger factor. Where each has scales of its own, such
    as batch norms, none says how strong both are together.
    """
    ordered = _by_scales(first, second)
    if ordered is None:
        return None
    kept = _both(ordered[0], first.origin, second.origin)
    n_cleared = max(first.origin.n_cleared, second.origin.n_cleared)  # both must be 0
    return replace(kept, origin=replace(kept.origin, n_cleared=n_cleared))


def multiplied_once(first: Term, second: Term) -> Term | None:
    """Return the term that a product of two terms of the same outputs has, as :func:`held_once`.

    Scales of linear factors count, as in scale * x * sigmoid(x).
    """
    linear = [term for term in (first, second) if term.origin.function == 0]
    if len(linear) == 1:
        return linear[0]
    ordered = _by_scales(first, second)
    return None if ordered is None else _both(ordered[bool(linear)], first.origin, second.origin)


def _both(kept: Term, a: Origin, b: Origin) -> Term:
    factor = max(a.factor, b.factor)
    origin = replace(kept.origin, factor=factor, gated=a.gated or b.gated)
    return replace(kept, origin=origin)


def _by_scales(first: Term, second: Term) -> tuple[Term, Term] | None:
    """Return the term with fewer scales and the other one, which has these first; else None."""
    n_common = min(len(first.origin.scales), len(second.origin.scales))
    if not all(_same_scale(first, second, place) for place in range(n_common)):
        return None
    is_first = len(first.origin.scales) == n_common
    return (first, second) if is_first else (second, first)


def _same_scale(first: Term, second: Term, place: int) -> bool:
    scale, entries = first.origin.scales[place]
    other, others = second.origin.scales[place]
    if scale != other:
        return False
    if same_labels(first.origin, second.origin):
        return torch.equal(entries, others)
    labels, of_second = without_repeats(first.labels, second.labels)
    return torch.equal(of_elements(entries, labels), of_elements(others, of_second))
