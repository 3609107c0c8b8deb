"""Provenance: the outputs of weight operations that make up each element of a tensor.

A tensor on its way through the network is a sum of *terms*. A term is an integer array of the
tensor's shape: 0 where the term contributes nothing, otherwise a label, which stands for one output
of one weight operation. Data movement (reshape, permute, concatenate, slice, pad, shuffle) is
followed by moving the labels as the network moves the data, so that no movement needs a rule of its
own. Labels repeat along most axes; stride 0 keeps them small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile

import torch
from torch import Tensor

from clusterability.tracing.activations import (
    PRODUCT,
    held_once,
    is_nonlinear,
    multiplied_once,
    without_factors,
)
from clusterability.tracing.moving import Mover
from clusterability.tracing.multiplying import scaled
from clusterability.tracing.origins import (
    INPUT,
    Origin,
    Term,
    Value,
    alike,
    of_elements,
    same_labels,
    side_by_side,
    without_repeats,
)
from clusterability.tracing.places import Places, new_places, together
from clusterability.tracing.shifts import both_shifts
from clusterability.tracing.statistics import without_numbers
from clusterability.tracing.zeros import masks_of
from clusterability.wiring.scales import Scale, Total

Common = tuple[tuple[Term, Term], tuple[Term | None, Term | None]]
"""Two terms where they are alike, and what is left of each."""


def produced(operation: int, shape: Sequence[int], axis: int | None) -> Value:
    """Return the output of a weight operation, with its channels along ``axis``; None for one."""
    shape = tuple(shape)
    n_channels = 1 if axis is None else shape[axis]
    view = [1] * len(shape)
    if axis is not None:
        view[axis] = n_channels
    labels = torch.arange(1, n_channels + 1).view(view).expand(shape)
    origin = Origin(operation, torch.arange(n_channels))
    return Value(shape, (Term(labels, origin, new_places(shape, axis)),))


def network_input(shape: Sequence[int]) -> Value:
    """Return the network's input, each element its own neuron (a layer may pool them)."""
    shape = tuple(shape)
    n = torch.Size(shape).numel()
    labels = torch.arange(1, n + 1).view(shape)
    return Value(shape, (Term(labels, Origin(INPUT, torch.arange(n))),))


def moved(
    values: Sequence[Value | None],
    shapes: Sequence[Sequence[int]],
    move: Callable[..., Tensor],
    shape: Sequence[int],
    along: int | range | None = None,
) -> Value:
    """Return the result of a data movement on one value, or on several as in a concatenation.

    Args:
        values: the inputs; None for each constant one.
        shapes: the shapes of all inputs.
        move: the movement; takes one integer tensor for each input and returns one.
        shape: the shape of the result.
        along: the axis of the inputs that changes, or the axes, if the movement leaves all others
            as they are.
    """
    terms: list[Term] = []
    mover = Mover(move, shapes, along)
    held = [(i, term) for i, value in enumerate(values) for term in (value.terms if value else ())]
    for (place, term), labels in zip(held, mover.labels(held), strict=True):
        if without_repeats(labels)[0].numpy().any():
            if term.origin.by_matrix:
                term = _without_mark(term, labels)
            places = _moved_places(term, partial(mover.one, place))
            terms.append(Term(labels.expand(shape), term.origin, places))
    return Value(tuple(shape), tuple(terms))


def _without_mark(term: Term, labels: Tensor) -> Term:
    """Return a term that was multiplied by a matrix, unmarked if each neuron is left once."""
    present = torch.unique(labels[labels > 0]) - 1
    if len(torch.unique(term.origin.channels[present])) < len(present):
        return term
    return replace(term, origin=replace(term.origin, by_matrix=False))


def _moved_places(term: Term, move: Callable[[Tensor], Tensor]) -> Places | None:
    if term.places is None:
        return None
    shape = term.labels.shape
    return Places(lambda numbers: move(numbers.expand(shape)), term.places)


def joined(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return a sum, or another elementwise function, of several values broadcast to ``shape``.

    Terms that differ only in scales and factors are merged, and their scales add up; otherwise
    residual networks would double the number of terms with every block. A value plus a nonlinear
    function of itself is an activation, which holds it once. A statistic of neurons that the values
    hold too is a number, and no term.
    """
    return _merged(without_numbers(values, shape)[0], shape, _added, in_parts=True)


def _merged(
    values: Sequence[Value],
    shape: Sequence[int],
    merge: Callable[[Term, Term], Term | None],
    in_parts: bool = False,
) -> Value:
    """Return the terms of all values; ``merge`` makes one of two that are alike, or None.

    With ``in_parts`` of two that are alike in some elements too, beside what is left of each.
    """
    kept: dict[int, list[Term]] = {}
    for term in side_by_side(values, shape):
        of_operation = kept.setdefault(term.origin.operation, [])
        left = _merge_into(of_operation, term, merge, in_parts)
        of_operation += [] if left is None else [left]
    return Value(tuple(shape), tuple(term for terms in kept.values() for term in terms))


def _merge_into(
    terms: list[Term], term: Term, merge: Callable[[Term, Term], Term | None], in_parts: bool
) -> Term | None:
    """Merge a term into those that are alike, and return what is left of it."""
    for i, other in enumerate(tuple(terms)):
        if alike(other, term):
            common: Common | None = (other, term), (None, None)
        else:
            common = _common(other, term) if in_parts else None
        found = None if common is None else merge(*common[0])
        if common is None or found is None:
            continue
        rests = common[1]
        terms[i] = found
        terms += [] if rests[0] is None else [rests[0]]
        if rests[1] is None:
            return None
        term = rests[1]
    return term


def _common(first: Term, second: Term) -> Common | None:
    """Return two terms where they have the same labels, and what is left of each; None if nowhere.

    None, too, where the labels of one stand for other outputs than those of the other.
    """
    if first.origin.statistic is not None or second.origin.statistic is not None:
        return None
    if not same_labels(first.origin, second.origin):
        return None
    a, b = without_repeats(first.labels, second.labels)
    same = (a == b) & (a > 0)
    if not bool(same.any()):
        return None

    def part(term: Term, labels: Tensor, where: Tensor) -> Term | None:
        kept = torch.where(where, labels, 0)
        shown = kept.expand(term.labels.shape)
        return replace(term, labels=shown) if bool(kept.any()) else None

    both = part(first, a, same), part(second, b, same)
    assert both[0] is not None
    assert both[1] is not None
    return (both[0], both[1]), (part(first, a, ~same), part(second, b, ~same))


def _added(first: Term, second: Term) -> Term | None:
    if is_nonlinear(first.origin, second.origin):
        first, second = without_factors(first), without_factors(second)
        found = held_once(first, second)
        if found is not None:
            return found
    return _summed(first, second) if same_labels(first.origin, second.origin) else None


def _summed(first: Term, second: Term) -> Term:
    """Return one term for two that differ only in their scales and factors."""
    b = second.origin
    a = replace(first.origin, shifts=both_shifts(first.origin, b))
    places = together(first.places, second.places)
    n_common = 0
    for mine, other in zip(a.scales, b.scales, strict=False):
        if mine[0] != other[0] or not torch.equal(mine[1], other[1]):
            break
        n_common += 1
    common, *rests = a.scales[:n_common], a.scales[n_common:], b.scales[n_common:]
    if not any(rests):
        return Term(first.labels, replace(a, factor=a.factor + b.factor), places)
    ways = tuple(
        (factor, tuple((scale, tuple(entries.tolist())) for scale, entries in rest))
        for factor, rest in zip((a.factor, b.factor), rests, strict=True)
    )
    total = (Total(ways), torch.arange(len(a.channels)))
    scales = (*common, total)
    summed = replace(a, scales=scales, factor=1.0, n_cleared=len(scales))
    return Term(first.labels, summed, places)


def chosen(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return an elementwise choice between values; a term held by several counts once.

    It keeps the largest of its factors, so that where(x > 0, x, 0.1 x) is an activation of x.
    """
    return _merged(without_numbers(values, shape)[0], shape, held_once)


def gated(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return a product of input-dependent values: all their terms, without plain numbers.

    A value times a function of itself is an activation, so a term held by both counts once. A value
    times or over a statistic of its own neurons is a normalization, and stays as it is.
    """
    kept, dropped = without_numbers(values, shape, in_product=True)
    holding = [value for value in kept if value.terms]
    if dropped and len(holding) == 1:
        return _normed(holding[0], dropped, shape)
    kept = masked_alike(kept, shape)
    factors = [without_factors(term) for term in side_by_side(kept, shape)]
    if any(term.origin.enlarged for term in factors):
        single = [value for value in holding if not any(t.origin.enlarged for t in value.terms)]
        own = side_by_side(single, shape)
        factors = [_at_own(term, own) for term in factors]
    product = _merged([Value(tuple(shape), tuple(factors))], shape, multiplied_once)
    marked = (replace(t, origin=replace(t.origin, function=PRODUCT)) for t in product.terms)
    return Value(product.shape, tuple(marked))


def masked_alike(values: list[Value], shape: Sequence[int]) -> list[Value]:
    """Return the values of a product, each with the masks of all: where one is 0, all is."""
    masks = [masks_of(value, shape) for value in values]
    if not any(masks):
        return values
    found = []
    for i, value in enumerate(values):
        masked = Value(tuple(shape), tuple(side_by_side([value], shape)))
        for j, others in enumerate(masks):
            for scale, entries in others if i != j else ():
                masked = scaled(masked, scale, entries, int(entries.max()) + 1)
        found.append(masked)
    return found


def _at_own(term: Term, others: Sequence[Term]) -> Term:
    """Return a factor, whose trained numbers are no neurons if each multiplies a neuron's own."""
    if not term.origin.enlarged:
        return term
    sizes = enumerate(term.labels.shape)
    axes = [a for a, n in sizes if n > 1 and term.labels.stride(a) and _same(term, a)]
    if not axes or not all(any(not _same(other, axis) for other in others) for axis in axes):
        return term
    return replace(term, origin=replace(term.origin, enlarged=False))


def _same(term: Term, axis: int) -> bool:
    """Whether a term holds the same elements all along an axis."""
    (labels,) = without_repeats(term.labels)
    elements = of_elements(term.origin.channels, labels)
    return bool((elements == elements[(slice(None),) * axis + (slice(1),)]).all())


def _normed(value: Value, by: Sequence[Term], shape: Sequence[int]) -> Value:
    """Return a value times or over its neurons' statistics, and times the factors of these."""
    sizes = {t.origin.statistic.n_summed for t in by if t.origin.statistic is not None}
    n_normed = sizes.pop() if len(sizes) == 1 else 0
    terms = [
        replace(term, origin=replace(term.origin, n_normed=n_normed))
        for term in side_by_side([value], shape)
    ]
    normed = Value(tuple(shape), tuple(terms))
    for number in by:
        places = (number.labels - 1).clamp_min(0)
        for scale, entries in _own_scales(number, value):
            normed = scaled(normed, scale, entries[places], int(entries.max()) + 1)
    return normed


def _own_scales(number: Term, value: Value) -> Sequence[tuple[Scale, Tensor]]:
    """Return what scales a number for each neuron that the neurons' values have not, as pixels."""
    own = [pair for pair in number.origin.scales if not pair[0].is_number]
    if number.origin.statistic is not None:
        return own
    for term in value.terms:
        if term.origin.operation == number.origin.operation:
            theirs = [scale for scale, _ in term.origin.scales if not scale.is_number]
            pairs = zip(own, theirs, strict=False)
            n_common = sum(1 for _ in takewhile(lambda pair: pair[0][0] == pair[1], pairs))
            return own[n_common:]
    return own
