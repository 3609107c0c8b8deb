"""What a traced tensor holds: terms, their labels and their origins.

Labels repeat along most axes; stride 0 keeps them small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clusterability.tracing.numbering import Indices
from clusterability.wiring.scales import Multiplier, Scale

if TYPE_CHECKING:
    from clusterability.tracing.places import Places

INPUT = -1
"""Stands for the network's input where a weight operation's number is expected."""

MOST_ELEMENTS = 2**27
"""Most label elements that may be laid out in full: 1 GB."""


@dataclass(frozen=True, eq=False)
class Statistic:
    """What was computed from several neurons without weights, such as their mean or their norm.

    Beside the neurons themselves, as in a normalization, it is a number. Where it goes on alone,
    :func:`clusterability.tracing.statistics.expanded` gives its neurons.

    Attributes:
        operations: those (or ``INPUT``) whose outputs it was computed from.
        members: (n_statistics, n_elements) the labels of each statistic's elements; 0 for none.
            None for the network's input, which stands for itself.
        origin: the origin that gives these labels their meaning.
        how: ``mean``, ``sum``, or ``pick`` for all others, such as a maximum.
        share: that of each element; 1 but for means.
        is_window: whether each neuron has one of its own, as in a local response normalization.
    """

    operations: frozenset[int]
    members: Tensor | None
    origin: Origin | None
    how: str = "pick"
    share: float = 1.0
    is_window: bool = False

    @property
    def n_summed(self) -> int:
        """The number of elements whose sum it is; 0 for other statistics."""
        return 0 if self.how != "sum" or self.members is None else self.members.shape[1]


@dataclass(frozen=True, eq=False)
class Shift:
    """A constant that was added and has very large numbers, as a mask by addition does.

    Attributes:
        scale: multiplies by the constant; with ``kept`` it is the mask.
        entries: (m,) the entries of the constant that apply.
        factor: what has multiplied the constant since, with its sign.
        sign: 1 if its very large numbers are above 0, -1 if they are below, 0 if both are.
    """

    scale: Multiplier
    entries: Tensor
    factor: float = 1.0
    sign: int = 0


@dataclass(frozen=True, eq=False)
class Origin:
    """The weight operation that a term comes from, and the scales between it and the term.

    Attributes:
        operation: number of the weight operation, or ``INPUT``.
        channels: (m,) the outputs of the operation that labels 1 to m stand for.
        scales: each scale since the operation, with the (m,) entries of it that apply.
        factor: product of the plain numbers that have multiplied the term.
        gated: whether the term has passed through a product of two values, or a sum of functions of
            one. Numbers after it belong to an activation, as in x * (1 + erf(x)) / 2, and do not
            count.
        statistic: what the labels 1 to m stand for, if not for outputs.
        n_normed: number of elements of the norm by which the term was divided, else 0. Their mean
            square is that norm's square over this number, whose root belongs to the normalization.
        by_matrix: whether a matrix has multiplied it, as the first half of a matrix product.
        enlarged: whether trained numbers have multiplied copies of each element, each its own.
        function: number of the last nonlinear function, element by element, that it has passed; 0
            for none.
        n_cleared: number of the scales, the first ones, whose zeros are no zeros of the term any
            more, since a function or a sum came after them.
        running: whether it is one of the outputs that a running sum has added.
        shifts: constants with very large numbers that were added, and not followed yet by a
            function that makes one number of all such sums.
    """

    operation: int
    channels: Tensor
    scales: tuple[tuple[Scale, Tensor], ...] = ()
    factor: float = 1.0
    gated: bool = False
    statistic: Statistic | None = None
    n_normed: int = 0
    by_matrix: bool = False
    enlarged: bool = False
    function: int = 0
    n_cleared: int = 0
    running: bool = False
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True, eq=False)
class Term:
    """Labels of a tensor's shape, and the origin that gives them their meaning.

    Attributes:
        labels: of the tensor's shape.
        origin: gives them their meaning.
        places: tell pixels of a channel from copies of one element; None for what is never copied.
    """

    labels: Tensor
    origin: Origin
    places: Places | None = None


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that depends on the network's input.

    Attributes:
        shape: its shape.
        terms: its terms, of that shape.
    """

    shape: tuple[int, ...]
    terms: tuple[Term, ...]


class Product(Value):
    """A value times a constant; its terms, one for each copy of an element, are made when needed.

    A sum of them needs none: it is a linear layer, or the sum of ``averaged``.

    Args:
        shape: of the product.
        value: the one factor.
        constant: the other one.
        exact: returns the terms.
        averaged: returns the product with one scale for all copies of an element, their mean.
    """

    value: Value
    constant: Any
    averaged: Callable[[], Value]

    def __init__(
        self,
        shape: tuple[int, ...],
        value: Value,
        constant: Any,
        exact: Callable[[], tuple[Term, ...]],
        averaged: Callable[[], Value],
    ) -> None:
        vars(self).update(
            shape=shape, value=value, constant=constant, _exact=exact, averaged=averaged
        )

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        found: tuple[Term, ...] = vars(self)["_exact"]()
        return found


def side_by_side(values: Sequence[Value], shape: Sequence[int]) -> list[Term]:
    """Return the terms of all values, broadcast to a shape."""
    shape = tuple(shape)
    return [
        term
        if term.labels.shape == shape
        else Term(term.labels.expand(shape), term.origin, term.places)
        for value in values
        for term in value.terms
    ]


def mark_repeats(labels: Tensor) -> Tensor:
    """Return the same labels, with stride 0 along every axis where they repeat."""
    return expanded_labels(without_repeats(labels)[0].numpy(), labels.shape)


def expanded_labels(labels: Indices, shape: Sequence[int]) -> Tensor:
    """Return labels broadcast to a shape, with stride 0 along every axis where they repeat."""
    for axis in reversed(range(labels.ndim)):  # pixels first: what is left after them is small
        if labels.shape[axis] > 1:
            first = labels[(slice(None),) * axis + (slice(1),)]
            labels = first if (labels == first).all() else labels
    return torch.from_numpy(labels).expand(tuple(shape))


def without_repeats(*arrays: Tensor) -> tuple[Tensor, ...]:
    """Return arrays of one shape cut to length 1 along every axis where all of them repeat."""
    kept = list(arrays[0].shape)
    strides = [array.stride() for array in arrays]
    for axis, n in enumerate(kept):
        if all(own[axis] == 0 for own in strides):
            kept[axis] = min(1, n)
    return tuple(array.as_strided(kept, own) for array, own in zip(arrays, strides, strict=True))


def of_labels(origin: Origin, labels: Tensor) -> Origin:
    """Return the origin for new labels, each of which stands for an old one (from 0)."""
    scales = tuple((scale, entries[labels]) for scale, entries in origin.scales)
    shifts = tuple(replace(shift, entries=shift.entries[labels]) for shift in origin.shifts)
    return replace(origin, channels=origin.channels[labels], scales=scales, shifts=shifts)


def same_origin(a: Origin, b: Origin) -> bool:
    """Whether two origins give labels the same outputs, scales and factor."""
    return a is b or (
        a.factor == b.factor
        and a.operation == b.operation
        and same_labels(a, b)
        and _same_statistic(a.statistic, b.statistic)
        and scaled_alike(a, b)
    )


def same_labels(a: Origin, b: Origin) -> bool:
    """Whether labels stand for the same outputs of one operation."""
    return a.channels.shape == b.channels.shape and torch.equal(a.channels, b.channels)


def alike(term: Term, other: Term) -> bool:
    """Whether two terms hold the same outputs, with whatever scales and factors."""
    a, b = term.origin, other.origin
    if a.operation != b.operation or not _same_statistic(a.statistic, b.statistic):
        return False
    labels, others = without_repeats(term.labels, other.labels)
    if same_labels(a, b):
        return torch.equal(labels, others)
    return a.statistic is None and torch.equal(
        of_elements(a.channels, labels), of_elements(b.channels, others)
    )


def of_elements(entries: Tensor, labels: Tensor) -> Tensor:
    """Return for each label its entry, from 1; 0 for none."""
    return torch.nn.functional.pad(entries + 1, (1, 0))[labels]


def _same_statistic(a: Statistic | None, b: Statistic | None) -> bool:
    if a is None or b is None or a.members is None or b.members is None:
        return a is b
    assert a.origin is not None
    assert b.origin is not None
    return a is b or (
        (a.how, a.share, a.is_window) == (b.how, b.share, b.is_window)
        and a.origin.gated == b.origin.gated
        and same_origin(a.origin, b.origin)
        and torch.equal(a.members, b.members)
    )


def scaled_alike(a: Origin, b: Origin) -> bool:
    return len(a.scales) == len(b.scales) and all(
        scale == other_scale and torch.equal(entries, others)
        for (scale, entries), (other_scale, others) in zip(a.scales, b.scales, strict=True)
    )
