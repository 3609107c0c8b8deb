"""Statistics of neurons: numbers beside these neurons, and sums over them elsewhere.

A value minus its mean, or over its norm, is a normalization, which joins each neuron with itself,
whatever the form in which it is written. A mean that goes on alone, as into a linear layer, holds
every neuron that it was computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.numbering import distinct_rows
from clusterability.tracing.origins import (
    Origin,
    Statistic,
    Term,
    Value,
    mark_repeats,
    of_elements,
    of_labels,
    side_by_side,
    without_repeats,
)

MOST_TERMS = 1024
"""Most terms that a sum over different neurons may make; more are refused."""


def without_numbers(
    values: Sequence[Value], shape: Sequence[int], *, in_product: bool = False
) -> tuple[list[Value], list[Term]]:
    """Return values that are joined element by element, and the terms that are only numbers there.

    These are the statistics of neurons that another value holds, each the same for several of them.
    In a product they may have factors for each neuron, as a normalization's weight is one.
    """
    terms = side_by_side(values, shape)
    if not any(term.origin.statistic is not None for term in terms):
        return list(values), []
    plain = [term for term in terms if term.origin.statistic is None]
    kept, dropped = [], []
    for value in values:
        own = side_by_side([value], shape)
        numbers = [any(_is_number_for(term, other, in_product) for other in plain) for term in own]
        dropped += [term for term, is_number in zip(own, numbers, strict=True) if is_number]
        left = tuple(term for term, number in zip(own, numbers, strict=True) if not number)
        kept.append(Value(tuple(shape), left))
    return kept, dropped


def _is_number_for(term: Term, other: Term, in_product: bool) -> bool:
    statistic = term.origin.statistic
    if statistic is None or other.origin.operation not in statistic.operations:
        return False
    if statistic.is_window:
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
        if term.origin.statistic is None or term.origin.statistic.members is None:
            terms.append(replace(term, origin=replace(term.origin, statistic=None)))
        else:
            terms += _members(term, term.origin.statistic)
    return Value(value.shape, tuple(terms))


def _members(term: Term, statistic: Statistic) -> list[Term]:
    outer, inner = term.origin, statistic.origin
    assert statistic.members is not None
    assert inner is not None
    is_mean, share = statistic.how == "mean", statistic.share
    if outer.gated and not inner.gated:  # as of any other value, numbers before a gate are gone
        plain = tuple(pair for pair in inner.scales if not pair[0].is_number)
        inner, is_mean, share = replace(inner, factor=1.0, scales=plain), False, 1.0
    distinct, counts = _distinct(statistic.members[outer.channels])
    if len(distinct) > MOST_TERMS:
        raise InputError(f"it joins {len(distinct)} different neurons")
    (labels,) = without_repeats(term.labels)
    nothing = torch.zeros(1, dtype=torch.int64)
    found = []
    for column, count in zip(distinct, counts, strict=True):
        of_column = torch.cat([nothing, column])[labels]
        origin = replace(
            inner,
            factor=inner.factor * outer.factor * share * (count if is_mean else 1),
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


def combined(
    term: Term, columns: Tensor, operations: frozenset[int], how: str, is_window: bool
) -> Term:
    """Return the term of statistics of a term without scales since its own statistic, if any.

    Args:
        term: the term that they are computed from.
        columns: (..., n_elements) for each of them the labels that it is computed from.
        operations: all operations that they are computed from.
        how: as in :class:`Statistic`.
        is_window: as there.
    """
    rows = columns.reshape(-1, columns.shape[-1])
    first, numbers = distinct_rows(rows.numpy())
    members, labels = rows[first], torch.from_numpy(numbers + 1)
    if bool((members[:1] == 0).all()):  # a statistic of no neuron comes first
        members, labels = members[1:], labels - 1
    share = 1 / members.shape[1] if how == "mean" else 1.0
    inner, before = term.origin, term.origin.statistic
    if before is not None and before.members is not None:
        assert before.origin is not None
        earlier = before.members[inner.channels]
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
