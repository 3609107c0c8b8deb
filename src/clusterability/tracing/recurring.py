"""Neurons that recur: what adds up counts each as often as it stands there, its pixels once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.origins import INPUT, Term, Value, mark_repeats, same_origin
from clusterability.tracing.places import times_added
from clusterability.tracing.statistics import RUNNING


def with_counts(value: Value, axes: Sequence[int]) -> Value:
    """Return a value, each element times the number of its copies that a sum over axes adds.

    Pixels are no copies, and are not counted.
    """
    if any(term.origin.running and not is_filled(term.labels, axes) for term in value.terms):
        raise InputError(f"{RUNNING}; write torch.matmul with the matrix")
    mates = together_added(value, axes)
    alone = [[term] for term in value.terms if not any(term in group for group in mates)]
    counted: dict[Term, list[Term]] = {}
    for group in (*mates, *alone):
        times = times_added(group, axes)
        for term, once, own in zip(group, _each_once(group, axes), times, strict=True):
            is_plain = once is term and bool((own == 1).all())
            counted[term] = [term] if is_plain else by_numbers(once, own.expand(once.labels.shape))
    return Value(value.shape, tuple(part for term in value.terms for part in counted[term]))


def together_added(value: Value, axes: Sequence[int]) -> list[list[Term]]:
    """Return the terms of one origin, more than one, that hold several neurons along the axes.

    What adds up along the axes must add them up together, as those of ``cat([h, h])``.
    """
    found: list[list[Term]] = []
    n_terms = Counter(term.origin.operation for term in value.terms)
    for term in value.terms:
        if term.origin.operation == INPUT or n_terms[term.origin.operation] < 2:
            continue
        group = next((group for group in found if _of_one_origin(group[0], term)), None)
        if group is None:
            found.append([term])
        else:
            group.append(term)
    return [
        group
        for group in found
        if len(group) > 1 and not all(is_filled(term.labels, axes) for term in group)
    ]


def _of_one_origin(first: Term, second: Term) -> bool:
    a, b = first.origin, second.origin
    if a.shifts or b.shifts:
        return False
    same = ((o.gated, o.n_normed, o.by_matrix, o.enlarged, o.function, o.n_cleared) for o in (a, b))
    return next(same) == next(same) and same_origin(a, b)


def _each_once(terms: Sequence[Term], axes: Sequence[int]) -> Sequence[Term]:
    """Return terms of one origin, each without what terms before it hold in the same sums."""
    if len(terms) == 1:
        return terms
    shape = terms[0].labels.shape
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    rows = torch.arange(math.prod(kept)).view(kept)
    n_labels = len(terms[0].origin.channels) + 1
    found, before = [], torch.zeros(0, dtype=torch.int64)
    for term in terms:
        pairs = rows * n_labels + term.labels
        labels = torch.where(torch.isin(pairs, before), 0, term.labels)
        before = torch.cat([before, torch.unique(pairs)])
        found.append(replace(term, labels=mark_repeats(labels)))
    return found


def by_numbers(term: Term, numbers: Tensor, factor: Callable[[Any], float] = float) -> list[Term]:
    """Return the parts of a term with one number each, times a factor of it."""
    found: list[Term] = []
    for number in sorted({*numbers[(term.labels > 0).expand(numbers.shape)].tolist()}):
        part = replace(term, labels=torch.where(numbers == number, term.labels, 0))
        found += multiplied(Value(tuple(term.labels.shape), (part,)), factor(number)).terms
    return found


def is_filled(labels: Tensor, axes: Sequence[int]) -> bool:
    """Whether one neuron or none stands at all places along the axes."""
    return bool(((labels == 0) | (labels == filling(labels, axes))).all())


def filling(labels: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the label that fills the axes, which have length 1; 0 where there is none."""
    return labels.amax(dim=list(axes), keepdim=True) if axes else labels
