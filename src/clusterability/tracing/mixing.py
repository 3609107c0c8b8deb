"""Means, maxima and pooling: operations that mix the elements of a value along some axes.

Where one neuron fills the mixed axes, as a channel fills its pixels, it fills the result. Otherwise
every element along these axes reaches every element of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.provenance import (
    INPUT,
    MOST_ELEMENTS,
    Term,
    Value,
    mark_repeats,
    network_input,
)

MOST_TERMS = 1024
"""Most terms that averaging over different neurons may make; more are refused."""


def mixed(
    value: Value, axes: Sequence[int], shape: Sequence[int], *, is_mean: bool = False
) -> Value:
    """Return a value averaged over, or picked from, the elements along some whole axes.

    Where one neuron fills these axes, as a channel does, it fills them in the result too. Otherwise
    every element along the axes reaches every element of the result; equal elements are one term.

    Args:
        value: the input.
        axes: the axes to mix; their lengths may change.
        shape: the shape of the result, with as many axes as the input.
        is_mean: whether each element counts by its share.

    Raises:
        InputError: if the result has too many terms.
    """
    axes = [axis % len(shape) for axis in axes]

    def columns(labels: Tensor) -> Tensor:
        last = labels.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes))
        for axis in sorted(axes):
            last = last.unsqueeze(axis)
        return last

    return _spread(value, axes, tuple(shape), columns, is_mean)


def fills(value: Value, axes: Sequence[int]) -> bool:
    """Whether no term has two different neurons along these axes; the input does not count."""
    for term in value.terms:
        filled = term.labels.amax(dim=list(axes), keepdim=True)
        if term.origin.operation != INPUT and not bool(
            ((term.labels == 0) | (term.labels == filled)).all()
        ):
            return False
    return True


@dataclass(frozen=True)
class PoolingWindow:
    """The elements along one axis that a pooling operation takes together."""

    size: int
    stride: int
    padding: int = 0
    dilation: int = 1


def windowed(
    value: Value, windows: Sequence[PoolingWindow], shape: Sequence[int], *, is_mean: bool = False
) -> Value:
    """Return a value pooled over its last axes, one window for each; else as :func:`mixed`."""
    n = len(windows)
    axes = list(range(len(shape) - n, len(shape)))

    def columns(labels: Tensor) -> Tensor:
        for axis, window in zip(axes, windows, strict=True):
            reach = (window.size - 1) * window.dilation + 1
            needed = (shape[axis] - 1) * window.stride + reach
            after = max(0, needed - labels.shape[axis] - window.padding)
            pads = [0, 0] * (len(shape) - 1 - axis) + [window.padding, after]
            labels = torch.nn.functional.pad(labels, pads)
        for axis, window in zip(axes, windows, strict=True):
            reach = (window.size - 1) * window.dilation + 1
            labels = labels.unfold(axis, reach, window.stride).narrow(axis, 0, shape[axis])
            labels = labels[..., :: window.dilation]
        return labels.flatten(-n)

    return _spread(value, axes, tuple(shape), columns, is_mean)


def _spread(
    value: Value,
    axes: list[int],
    shape: tuple[int, ...],
    columns: Callable[[Tensor], Tensor],
    is_mean: bool,
) -> Value:
    """Return the mixed value.

    Args:
        value: the input.
        axes: the axes to mix.
        shape: the shape of the result.
        columns: maps a term's labels to the (..., n) labels that reach each element of the result;
            all but the last axis broadcast to ``shape``.
        is_mean: whether each element counts by its share.
    """
    terms: list[Term] = []
    inputs = [term for term in value.terms if term.origin.operation == INPUT]
    if inputs:  # mixed inputs are new inputs
        terms += network_input(shape).terms
    for term in value.terms:
        if term.origin.operation == INPUT:
            continue
        labels = term.labels
        filled = labels.amax(dim=axes, keepdim=True)
        if bool(((labels == 0) | (labels == filled)).all()):
            terms.append(Term(filled.expand(shape), term.origin))
            continue
        distinct, counts = _distinct(columns(labels))
        if len(distinct) + len(terms) > MOST_TERMS:
            raise InputError(f"it joins {len(distinct)} different neurons")
        for column, count in zip(distinct, counts, strict=True):
            factor = term.origin.factor * (count / sum(counts) if is_mean else 1)
            origin = replace(term.origin, factor=factor)
            terms.append(Term(mark_repeats(column).expand(shape), origin))
    return Value(shape, tuple(terms))


def _distinct(columns: Tensor) -> tuple[list[Tensor], list[int]]:
    """Return the distinct slices along the last axis, and how often each occurs."""
    if columns.numel() > MOST_ELEMENTS:
        raise InputError(f"it joins neurons in {columns.numel()} combinations")
    flat = columns.flatten(0, -2)
    _, first, counts = np.unique(flat.numpy(), axis=1, return_index=True, return_counts=True)
    order = np.argsort(first)
    return [columns[..., first[i]] for i in order], [int(counts[i]) for i in order]


def reduced(value: Value, axes: Sequence[int], keepdim: bool, *, is_mean: bool = False) -> Value:
    """Return a value averaged, summed or picked from over whole axes, as ``torch.mean`` does.

    Raises:
        InputError: if too many neurons are joined.
    """
    n_axes = len(value.shape)
    axes = sorted(axis % n_axes for axis in axes)
    kept = [1 if axis in axes else size for axis, size in enumerate(value.shape)]
    whole = mixed(value, axes, kept, is_mean=is_mean)
    if keepdim:
        return whole
    shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return Value(shape, tuple(Term(t.labels.squeeze(axes), t.origin) for t in whole.terms))
