"""Products of values with constants and with plain numbers, which scale the terms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from clusterability.tracing.origins import INPUT, Term, Value, of_labels, without_repeats
from clusterability.tracing.shifts import shifts_times
from clusterability.wiring.scales import Scale


def scaled(value: Value, scale: Scale, entries: Tensor, n_entries: int) -> Value:
    """Return the value with each element multiplied by an entry of a constant.

    Args:
        value: the value to scale.
        scale: the constant.
        entries: for each element, the index of its entry; broadcasts to the value's shape.
        n_entries: the number of entries of the constant.
    """
    terms = []
    entries = entries.expand(value.shape)
    for term in value.terms:
        # A scale of the input is no strength between neurons, and a number after a gate belongs to
        # the activation.
        if term.origin.operation == INPUT or (term.origin.gated and scale.is_number):
            terms.append(term)
            continue
        labels, entry = without_repeats(term.labels, entries)
        new, origin, own = term.labels, term.origin, _entry_of_each(term, labels, entry)
        if own is None:
            places, old, own = _by_entry(labels, entry, n_entries)
            new, origin = places.expand(value.shape), of_labels(origin, old)
        scales = (*origin.scales, (scale, own))
        terms.append(Term(new, replace(origin, scales=scales), term.places))
    return Value(value.shape, tuple(terms))


def _entry_of_each(term: Term, labels: Tensor, entry: Tensor) -> Tensor | None:
    """Return the entry of each label if each stands at one place, in order; else None.

    Args:
        term: whose labels they are.
        labels: without repeats.
        entry: at each place.
    """
    numbers = labels.numpy()
    held = numbers > 0
    each, n_labels = numbers[held], len(term.origin.channels)
    if len(each) != n_labels or not np.array_equal(each, np.arange(1, n_labels + 1)):
        return None
    return torch.from_numpy(entry.numpy()[held])


def _by_entry(labels: Tensor, entry: Tensor, n_entries: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels that differ where a label or its entry does; the old label, and the entry."""
    keys, places = torch.unique(labels * n_entries + entry, return_inverse=True)
    old, places = keys // n_entries - 1, places + 1
    n_zero = int((old < 0).sum())  # label 0 stays 0 for every entry
    return (places - n_zero).clamp_min(0), old[n_zero:], keys[n_zero:] % n_entries


def multiplied(value: Value, factor: float) -> Value:
    """Return the value times a plain number."""
    terms = shifts_times(value, factor).terms
    return Value(value.shape, tuple(_times(term, abs(factor)) for term in terms))


def _times(term: Term, factor: float) -> Term:
    origin = term.origin
    if origin.gated:
        return term
    if origin.n_normed and math.isclose(factor**2, origin.n_normed, rel_tol=1e-5):
        return replace(term, origin=replace(origin, n_normed=0))
    return replace(term, origin=replace(origin, factor=origin.factor * factor))
