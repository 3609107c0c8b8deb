"""Means, maxima and pooling: operations that mix the elements of a value along some axes.

Where one neuron fills the mixed axes, as a channel fills its pixels, it fills the result. Otherwise
every element along these axes reaches every element of the result, which is a statistic of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.origins import (
    INPUT,
    MOST_ELEMENTS,
    Statistic,
    Term,
    Value,
    mark_repeats,
)
from clusterability.tracing.places import (
    of_rows,
    of_whole_axes,
    share_of_copies,
)
from clusterability.tracing.provenance import moved, network_input
from clusterability.tracing.recurring import (
    by_numbers,
    filling,
    is_filled,
    together_added,
)
from clusterability.tracing.statistics import combined, expanded


def mixed(value: Value, axes: Sequence[int], shape: Sequence[int], *, how: str = "pick") -> Value:
    """Return a value averaged over, or picked from, the elements along some whole axes.

    Where one neuron fills these axes, as a channel does, it fills them in the result too. Otherwise
    every element along the axes reaches every element of the result; equal elements are one term.

    Args:
        value: the input.
        axes: the axes to mix; their lengths may change.
        shape: the shape of the result, with as many axes as the input.
        how: ``mean`` if each element counts by its share, ``sum``, ``counts`` for a sum of what
            :func:`with_counts` returned, or else ``pick``.

    Raises:
        InputError: if it takes too many elements together.
    """
    axes = [axis % len(shape) for axis in axes]

    def columns(labels: Tensor) -> Tensor:
        last = labels.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes))
        for axis in sorted(axes):
            last = last.unsqueeze(axis)
        return last

    return _spread(value, axes, tuple(shape), columns, how)


def is_stacked(value: Value, axes: Sequence[int]) -> bool:
    """Whether terms fill some places along the axes only, as those of a stack of values do."""
    mates = [term for group in together_added(value, axes) for term in group]
    return any(
        term.origin.operation != INPUT
        and is_filled(term.labels, axes)
        and not bool(((term.labels > 0) == (filling(term.labels, axes) > 0)).all())
        for term in value.terms
        if any(term.labels.stride(axis) for axis in axes) and term not in mates
    )


def with_shares(value: Value, axes: Sequence[int]) -> Value:
    """Return a stack of values, each times its share of the places along the axes."""
    n_places = math.prod(value.shape[axis] for axis in axes)
    terms: list[Term] = []
    for term in value.terms:
        if term.origin.operation == INPUT or not is_filled(term.labels, axes):
            terms.append(term)
            continue
        filled = (term.labels > 0).sum(list(axes), keepdim=True).expand(term.labels.shape)
        terms += by_numbers(term, filled, lambda n: n / n_places)
    return Value(value.shape, tuple(terms))


def with_shares_of_copies(value: Value, axes: Sequence[int]) -> Value:
    """Return a value of which copies among zeros have their share of the places along the axes."""
    shares = [share_of_copies(term, axes) for term in value.terms]
    if all(share == 1 for share in shares):
        return value
    terms: list[Term] = []
    for term, share in zip(value.terms, shares, strict=True):
        terms += multiplied(Value(value.shape, (term,)), share).terms
    return Value(value.shape, tuple(terms))


def without_padding(value: Value, axes: Sequence[int]) -> Value:
    """Return a value of which copies, unlike pixels, do not fill the padding beside them."""
    shares = [share_of_copies(term, axes) for term in value.terms]
    if all(share == 1 for share in shares):
        return value
    terms = []
    for term, share in zip(value.terms, shares, strict=True):
        labels = term.labels
        if share != 1:
            assert term.places is not None
            labels = torch.where(term.places.numbers() != 0, labels, 0)
        terms.append(replace(term, labels=mark_repeats(labels)))
    return Value(value.shape, tuple(terms))


def fills(value: Value, axes: Sequence[int]) -> bool:
    """Whether no term has two different neurons along these axes; the input does not count."""
    return all(t.origin.operation == INPUT or is_filled(t.labels, axes) for t in value.terms)


@dataclass(frozen=True)
class PoolingWindow:
    """The elements along one axis that a pooling operation takes together."""

    size: int
    stride: int
    padding: int = 0
    dilation: int = 1


def windowed(
    value: Value, windows: Sequence[PoolingWindow], shape: Sequence[int], *, how: str = "pick"
) -> Value:
    """Return a value pooled over its last axes, one window for each; else as :func:`mixed`."""
    first = len(shape) - len(windows)
    along = {first + i: window for i, window in enumerate(windows) if window != PoolingWindow(1, 1)}

    def columns(labels: Tensor) -> Tensor:
        for axis, window in along.items():
            reach = (window.size - 1) * window.dilation + 1
            needed = (shape[axis] - 1) * window.stride + reach
            after = max(0, needed - labels.shape[axis] - window.padding)
            pads = [0, 0] * (len(shape) - 1 - axis) + [window.padding, after]
            labels = torch.nn.functional.pad(labels, pads)
        for axis, window in along.items():
            reach = (window.size - 1) * window.dilation + 1
            labels = labels.unfold(axis, reach, window.stride).narrow(axis, 0, shape[axis])
            labels = labels[..., :: window.dilation]
        return labels.flatten(-len(along)) if along else labels.unsqueeze(-1)

    return _spread(value, list(along), tuple(shape), columns, how, is_window=True)


def apart(value: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """Return the part of a value whose terms are stacked along the axes, and the rest of it."""
    mates = [term for group in together_added(value, axes) for term in group]
    pairs = [
        (term, term not in mates and is_stacked(Value(value.shape, (term,)), axes))
        for term in value.terms
    ]
    stack = tuple(term for term, is_own in pairs if is_own)
    rest = tuple(term for term, is_own in pairs if not is_own)
    return Value(value.shape, stack), Value(value.shape, rest)


def resampled(
    value: Value,
    axes: Sequence[int],
    shape: Sequence[int],
    run: Callable[[Tensor], Tensor],
    *,
    weighs: bool,
) -> Value:
    """Return what windows over a stack hold of each value in it, in each the same neuron or none.

    Args:
        value: whose terms are stacked along the axes.
        axes: along which the windows lie.
        shape: of the result.
        run: the operation itself, on floats.
        weighs: whether it averages them; a neuron with several pixels then counts by its largest
            share.
    """
    terms: list[Term] = []
    for term in value.terms:
        has_pixels = int((term.labels > 0).sum(list(axes)).max()) > 1
        held = run((term.labels > 0).double())
        labels = torch.where(held != 0, filling(term.labels, axes).expand(tuple(shape)), 0)
        places = of_whole_axes(term.places, axes, value.shape, shape)
        if not weighs:
            terms.append(Term(mark_repeats(labels).expand(tuple(shape)), term.origin, places))
            continue
        largest = torch.zeros(len(term.origin.channels) + 1, dtype=held.dtype)
        shares = held.abs().float().double()  # equal ones may be rounded in several ways
        largest = largest.scatter_reduce(0, labels.flatten(), shares.flatten(), "amax")
        found = Term(mark_repeats(labels).expand(tuple(shape)), term.origin, places)
        terms += by_numbers(found, largest[labels] if has_pixels else shares, float)
    return Value(tuple(shape), tuple(terms))


def _spread(
    value: Value,
    axes: list[int],
    shape: tuple[int, ...],
    columns: Callable[[Tensor], Tensor],
    how: str,
    is_window: bool = False,
) -> Value:
    """Return the mixed value.

    Args:
        value: the input.
        axes: the axes to mix.
        shape: the shape of the result.
        columns: maps a term's labels to the (..., n) labels that reach each element of the result;
            all but the last axis broadcast to ``shape``.
        how: as :func:`mixed` takes it.
        is_window: whether windows differ from neuron to neuron.
    """
    if any(term.origin.statistic is not None and term.origin.scales for term in value.terms):
        value = expanded(value)
    if any(t.origin.by_matrix and not is_filled(t.labels, axes) for t in value.terms):
        raise InputError(
            "it joins products of neurons with a matrix, in a form that cannot be taken for a "
            "linear layer; write torch.nn.Linear, or torch.matmul with the matrix"
        )
    operations, is_counted = _operations(value), how == "counts"
    how = "sum" if is_counted else how
    terms: list[Term] = []
    inputs = [term.labels for term in value.terms if term.origin.operation == INPUT]
    if inputs:
        terms += _mixed_inputs(inputs, shape, columns, operations)
    mates = [] if is_counted else together_added(value, axes)
    first = {group[0]: group for group in mates}
    others = [term for group in mates for term in group[1:]]
    for term in value.terms:
        if term.origin.operation == INPUT or term in others:
            continue
        if term not in first and is_filled(term.labels, axes):
            places = of_whole_axes(term.places, axes, value.shape, shape)
            terms.append(Term(filling(term.labels, axes).expand(shape), term.origin, places))
            continue
        group = first.get(term, [term])
        of_elements = _elements([part.labels for part in group], axes, columns)
        found = combined(term, of_elements, len(group), operations, how, is_window)
        places = of_rows([part.places for part in group], columns, value.shape)
        terms.append(Term(found.labels.expand(shape), found.origin, places))
    return Value(shape, tuple(terms))


def _elements(
    labels: Sequence[Tensor], axes: Sequence[int], columns: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the (..., n) labels, of all terms together, that reach each element.

    Raises:
        InputError: if they are too many.
    """
    for axis in range(labels[0].ndim):
        if axis not in axes and all(part.stride(axis) == 0 for part in labels):
            labels = [part.narrow(axis, 0, min(1, part.shape[axis])) for part in labels]
    found = torch.cat([columns(part) for part in labels], -1)
    if found.numel() > MOST_ELEMENTS:
        raise InputError(f"it joins neurons in {found.numel()} combinations")
    return found


def _mixed_inputs(
    inputs: Sequence[Tensor],
    shape: tuple[int, ...],
    columns: Callable[[Tensor], Tensor],
    operations: frozenset[int],
) -> list[Term]:
    """Return the network's input mixed, whose elements are inputs of their own."""
    statistic = Statistic(operations, None, None)
    held = [labels > 0 for labels in inputs]
    everywhere = any(bool(held_here.all()) for held_here in held)
    found = []
    for term in network_input(shape).terms:
        labels = term.labels
        if not everywhere:
            present = torch.stack([columns(part).any(-1).expand(shape) for part in held])
            labels = labels * present.any(0)
        found.append(Term(labels, replace(term.origin, statistic=statistic)))
    return found


def _operations(value: Value) -> frozenset[int]:
    """Return the operations whose outputs a value holds, in statistics too."""
    found: set[int] = set()
    for term in value.terms:
        statistic = term.origin.statistic
        found |= {term.origin.operation} if statistic is None else statistic.operations
    return frozenset(found)


def reduced(value: Value, axes: Sequence[int], keepdim: bool, *, how: str = "pick") -> Value:
    """Return a value averaged, summed or picked from over whole axes, as ``torch.mean`` does.

    Raises:
        InputError: if too many elements are joined.
    """
    n_axes = len(value.shape)
    axes = sorted(axis % n_axes for axis in axes)
    kept = [1 if axis in axes else size for axis, size in enumerate(value.shape)]
    whole = mixed(value, axes, kept, how=how)
    if keepdim:
        return whole
    shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return moved([whole], [whole.shape], lambda labels: labels.squeeze(axes), shape)
