"""Statistics of neurons: numbers beside these neurons, and sums over them elsewhere.

A value minus its mean, or over its norm, is a normalization, which joins each neuron with itself,
whatever the form in which it is written. A mean that goes on alone, as into a linear layer, holds
every neuron that it was computed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.numbering import distinct_rows
from clusterability.tracing.origins import (
    INPUT,
    Origin,
    Statistic,
    Term,
    Value,
    alike,
    mark_repeats,
    of_elements,
    of_labels,
    side_by_side,
    without_repeats,
)
from clusterability.tracing.places import are_copies

RUNNING = "it adds up running sums of neurons"
"""Why it is refused to add up running sums: their terms do not tell how often each counts."""

MOST_TERMS = 1024
"""Most terms that a sum over different neurons may make; more are refused."""


def without_numbers(
    values: Sequence[Value], shape: Sequence[int], *, in_product: bool = False
) -> tuple[list[Value], list[Term]]:
    """Return values that are joined element by element, and the terms that are only numbers there.

    These are the statistics of neurons that another value holds, each the same for several of them,
    and those of a neuron's own pixels, the same for all of these.
    In a product they may have factors for each neuron, as a normalization's weight is one.
    """
    if not _may_hold_numbers(values):
        return list(values), []
    sides = [side_by_side([value], shape) for value in values]
    plain: dict[int, list[Term]] = {}
    for term in chain.from_iterable(sides):
        if term.origin.statistic is None:
            plain.setdefault(term.origin.operation, []).append(term)
    kept, dropped = [], []
    for i, own in enumerate(sides):
        others = [term for j, side in enumerate(sides) if j != i for term in side]
        in_windows = _in_windows(own, others) if in_product else frozenset()
        numbers = [
            term.origin.operation in in_windows
            or any(_is_number_for(term, other, in_product) for other in _beside(term, plain))
            for term in own
        ]
        dropped += [term for term, is_number in zip(own, numbers, strict=True) if is_number]
        left = tuple(term for term, number in zip(own, numbers, strict=True) if not number)
        kept.append(Value(tuple(shape), left))
    return kept, dropped


def _beside(term: Term, plain: Mapping[int, Sequence[Term]]) -> Iterable[Term]:
    """Return the terms beside which a term may be a number: those of its operations."""
    statistic = term.origin.statistic
    operations = {term.origin.operation} if statistic is None else statistic.operations
    return chain.from_iterable(plain.get(operation, ()) for operation in operations)


def _may_hold_numbers(values: Sequence[Value]) -> bool:
    """Whether values hold statistics, or several of them outputs of one operation."""
    seen: set[int] = set()
    for value in values:
        if any(term.origin.statistic is not None for term in value.terms):
            return True
        own = {term.origin.operation for term in value.terms}
        if own & seen:
            return True
        seen |= own
    return False


def _is_of_pixels(term: Term, other: Term) -> bool:
    """Whether a term holds a number for each neuron beside which another has all its pixels."""
    if term.origin.operation != other.origin.operation or not alike(term, other):
        return False
    return any(
        size > 1
        and not (term.labels.stride(axis) or other.labels.stride(axis))
        and are_copies(term, axis)
        and not are_copies(other, axis)
        for axis, size in enumerate(term.labels.shape)
    )


def _in_windows(own: Sequence[Term], others: Sequence[Term]) -> frozenset[int]:
    """Return the operations whose outputs a value holds as windows that were summed by hand.

    As in a local response normalization these are functions of the neurons, moved to and fro: each
    neuron stands in several windows, and another value holds the neurons that these lie around.
    """
    found = set()
    for operation in {term.origin.operation for term in own} - {INPUT}:
        moved = [term for term in own if term.origin.operation == operation]
        around = [t for t in others if t.origin.operation == operation and not t.origin.statistic]
        if len(moved) < 2 or not around or any(_is_plain(term) for term in moved):
            continue
        if _overlap([_neurons(term) for term in moved]) and all(
            _lies_within(other, moved) for other in around
        ):
            found.add(operation)
    return frozenset(found)


def _overlap(windows: Sequence[Tensor]) -> bool:
    """Whether neurons stand in several of their windows."""
    held = torch.cat(list(windows))
    return 2 * len(held) >= 3 * len(torch.unique(held))


def _neurons(term: Term) -> Tensor:
    (labels,) = without_repeats(term.labels)
    found: Tensor = torch.unique(of_elements(term.origin.channels, labels[labels > 0]))
    return found


def _is_plain(term: Term) -> bool:
    return term.origin.function == 0 or term.origin.statistic is not None


def _lies_within(term: Term, windows: Sequence[Term]) -> bool:
    """Whether at each place one of several terms holds the neuron that a term holds there."""
    neurons, *around = without_repeats(term.labels, *(window.labels for window in windows))
    neurons = of_elements(term.origin.channels, neurons)
    within = neurons == 0
    for window, labels in zip(windows, around, strict=True):
        within |= neurons == of_elements(window.origin.channels, labels)
    return bool(within.all())


def _is_unfolded(term: Term, other: Term, statistic: Statistic) -> bool:
    """Whether statistics are those of windows around another term's neurons, as of ``unfold``."""
    members, origin = statistic.members, statistic.origin
    if members is None or origin is None or origin.function == 0 or len(members) < 2:
        return False
    if not _overlap([members[members > 0]]):
        return False
    columns = [
        replace(term, labels=_of_column(term, column), origin=origin) for column in members.T
    ]
    return _lies_within(other, columns)


def _of_column(term: Term, column: Tensor) -> Tensor:
    """Return a term's labels, each of a statistic, as those of one member of each."""
    (labels,) = without_repeats(term.labels)
    of_label: Tensor = torch.nn.functional.pad(column[term.origin.channels], (1, 0))
    return of_label[labels].expand(term.labels.shape)


def _is_number_for(term: Term, other: Term, in_product: bool) -> bool:
    statistic = term.origin.statistic
    if statistic is None:
        return _is_of_pixels(term, other)
    if other.origin.operation not in statistic.operations:
        return False
    if statistic.is_window or (in_product and _is_unfolded(term, other, statistic)):
        return True
    numbers, neurons = without_repeats(term.labels, other.labels)
    if in_product or term.origin.gated:  # the same statistic, whatever factors it has
        numbers = of_elements(term.origin.channels, numbers)
    numbers, neurons = numbers.flatten(), neurons.flatten()
    both = (numbers > 0) & (neurons > 0)
    numbers, neurons = numbers[both], neurons[both]
    pairs = torch.unique(numbers * (int(other.labels.max()) + 1) + neurons)
    return len(pairs) > len(torch.unique(numbers))


def expanded(value: Value) -> Value:
    """Return a value whose statistics are terms, one for each neuron that they are made of.

    Raises:
        InputError: if there are too many.
    """
    terms: list[Term] = []
    for term in value.terms:
        if term.origin.statistic is None:
            terms.append(term)
        elif term.origin.statistic.members is None:
            terms.append(replace(term, origin=replace(term.origin, statistic=None)))
        else:
            terms += _members(term, term.origin.statistic)
    return Value(value.shape, tuple(terms))


def _members(term: Term, statistic: Statistic) -> list[Term]:
    outer, inner = term.origin, statistic.origin
    assert statistic.members is not None
    assert inner is not None
    if statistic.how == "mean" and inner.running:
        raise InputError(RUNNING)
    counts_each, share = statistic.how != "pick", statistic.share
    if outer.gated and not inner.gated:  # as of any other value, numbers before a gate are gone
        plain = tuple(pair for pair in inner.scales if not pair[0].is_number)
        inner, counts_each, share = replace(inner, factor=1.0, scales=plain), False, 1.0
    members = statistic.members[outer.channels]
    distinct, counts = _by_counts(members) if counts_each else _distinct(_members_once(members))
    if len(distinct) > MOST_TERMS:
        raise InputError(f"it joins {len(distinct)} different neurons")
    (labels,) = without_repeats(term.labels)
    nothing = torch.zeros(1, dtype=torch.int64)
    found = []
    for column, count in zip(distinct, counts, strict=True):
        if not bool(column.any()):
            continue
        of_column = torch.cat([nothing, column])[labels]
        origin = replace(
            inner,
            factor=inner.factor * outer.factor * share * (count if counts_each else 1),
            gated=outer.gated,
        )
        if outer.scales:
            of_column = torch.where(of_column > 0, labels, 0)
            origin = of_labels(origin, (column - 1).clamp_min(0))
            origin = replace(origin, scales=(*origin.scales, *outer.scales))
        found.append(Term(mark_repeats(of_column).expand(term.labels.shape), origin, term.places))
    return found


def _distinct(members: Tensor) -> tuple[list[Tensor], list[int]]:
    """Return the distinct columns, in order of first appearance, and how often each occurs."""
    first, numbers = distinct_rows(members.T.numpy())
    counts = np.bincount(numbers)
    order = np.argsort(first)
    return [members[:, first[i]] for i in order], [int(counts[i]) for i in order]


def _by_counts(members: Tensor) -> tuple[list[Tensor], list[int]]:
    """Return columns that have each member of a statistic once, and how often it occurs there.

    They are :func:`_distinct` where nothing else recurs, as copies do that several means share.
    """
    distinct, counts = _distinct(members)
    ordered = torch.stack(distinct, 1).sort(1).values if distinct else members
    if not bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)).any()):
        return distinct, counts
    ordered = members.sort(1).values
    is_first = ordered > 0
    is_first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    rows, columns = torch.where(is_first)
    runs = is_first.flatten().cumsum(0)[ordered.flatten() > 0] - 1
    times = torch.bincount(runs, minlength=len(rows))
    found, of_found = [], []
    for count in torch.unique(times).tolist():
        own = times == count
        at = torch.zeros(ordered.shape, dtype=torch.int64)
        at[rows[own], columns[own]] = 1
        rank = at.cumsum(1)[rows[own], columns[own]] - 1
        table = members.new_zeros(len(members), int(rank.max()) + 1)
        table[rows[own], rank] = ordered[rows[own], columns[own]]
        found += list(table.T)
        of_found += [count] * table.shape[1]
    return found, of_found


def _members_once(members: Tensor) -> Tensor:
    """Return rows that hold each member once, since a channel counts once, not once a pixel."""
    ordered, order = members.sort(dim=1, stable=True)
    again = torch.zeros_like(members, dtype=torch.bool)
    again.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])
    return members.masked_fill(again, 0)


def combined(
    term: Term,
    columns: Tensor,
    n_terms: int,
    operations: frozenset[int],
    how: str,
    is_window: bool,
) -> Term:
    """Return the term of statistics of a term without scales since its own statistic, if any.

    Args:
        term: the term that they are computed from.
        columns: (..., n_elements) for each of them the labels that it is computed from.
        n_terms: number of terms of this origin that give as many of these elements each.
        operations: all operations that they are computed from.
        how: as in :class:`Statistic`.
        is_window: as there.
    """
    rows = columns.reshape(-1, columns.shape[-1])
    first, numbers = distinct_rows(rows.numpy())
    members, labels = rows[first], torch.from_numpy(numbers + 1)
    if bool((members[:1] == 0).all()):  # a statistic of no neuron comes first
        members, labels = members[1:], labels - 1
    share = n_terms / members.shape[1] if how == "mean" else 1.0
    if how == "sum":
        members = _members_once(members)
    inner, before = term.origin, term.origin.statistic
    if before is not None and before.members is not None:
        assert before.origin is not None
        earlier = before.members[inner.channels]
        if before.how == "pick":
            earlier = _members_once(earlier)
        members = torch.cat([torch.zeros_like(earlier[:1]), earlier])[members].flatten(1)
        share *= before.share
        inner = replace(before.origin, factor=before.origin.factor * inner.factor)
    origin = Origin(
        inner.operation,
        torch.arange(len(members)),
        gated=term.origin.gated,
        statistic=Statistic(operations, members, inner, how, share, is_window),
    )
    return Term(labels.reshape(columns.shape[:-1]), origin)
