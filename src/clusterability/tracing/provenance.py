"""Provenance: the outputs of weight operations that make up each element of a tensor.

A tensor on its way through the network is a sum of *terms*. A term is an integer array of the
tensor's shape: 0 where the term contributes nothing, otherwise a label, which stands for one output
of one weight operation. Data movement (reshape, permute, concatenate, slice, pad, shuffle) is
followed by moving the labels as the network moves the data, so that no movement needs a rule of its
own. Labels repeat along most axes; stride 0 keeps them small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterability.wiring.scales import Scale, Total

INPUT = -1
"""Stands for the network's input where a weight operation's number is expected."""

MOST_ELEMENTS = 2**27
"""Most label elements that may be laid out in full: 1 GB."""


@dataclass(frozen=True, eq=False)
class Origin:
    """The weight operation that a term comes from, and the scales between it and the term.

    Attributes:
        operation: number of the weight operation, or ``INPUT``.
        channels: (m,) the outputs of the operation that labels 1 to m stand for.
        scales: each scale since the operation, with the (m,) entries of it that apply.
        factor: product of the plain numbers that have multiplied the term.
        gated: whether the term has passed through a product of two values. Numbers after it belong
            to an activation, as in x * (1 + erf(x)) / 2, and do not count.
    """

    operation: int
    channels: Tensor
    scales: tuple[tuple[Scale, Tensor], ...] = ()
    factor: float = 1.0
    gated: bool = False


@dataclass(frozen=True, eq=False)
class Term:
    """Labels of a tensor's shape, and the origin that gives them their meaning."""

    labels: Tensor
    origin: Origin


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that depends on the network's input."""

    shape: tuple[int, ...]
    terms: tuple[Term, ...]


def produced(operation: int, shape: Sequence[int], axis: int) -> Value:
    """Return the output of a weight operation, with its channels along ``axis``."""
    shape = tuple(shape)
    n_channels = shape[axis]
    view = [1] * len(shape)
    view[axis] = n_channels
    labels = torch.arange(1, n_channels + 1).view(view).expand(shape)
    return Value(shape, (Term(labels, Origin(operation, torch.arange(n_channels))),))


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
    along: int | None = None,
) -> Value:
    """Return the result of a data movement on one value, or on several as in a concatenation.

    Args:
        values: the inputs; None for each constant one.
        shapes: the shapes of all inputs.
        move: the movement; takes one integer tensor for each input and returns one.
        shape: the shape of the result.
        along: the axis of the inputs that changes, if the movement leaves all others as they are.
    """
    terms: list[Term] = []
    nothing = torch.zeros((), dtype=torch.int64)
    for place, value in enumerate(values):
        for term in value.terms if value is not None else ():
            sizes = [list(size) for size in shapes]
            given = term.labels
            for axis in range(given.ndim) if along is not None else ():
                if axis != along and given.stride(axis) == 0:
                    given = given.narrow(axis, 0, min(1, given.shape[axis]))
                    for size in sizes:
                        if len(size) == given.ndim:  # an index may have fewer axes
                            size[axis] = min(1, size[axis])
            inputs = [given if i == place else nothing.expand(s) for i, s in enumerate(sizes)]
            labels = move(*inputs)
            if bool(labels.any()):
                terms.append(Term(mark_repeats(labels).expand(shape), term.origin))
    return Value(tuple(shape), tuple(terms))


def joined(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return a sum, or another elementwise function, of several values broadcast to ``shape``.

    Terms that differ only in scales and factors are merged, and their scales add up; otherwise
    residual networks would double the number of terms with every block.
    """
    kept: dict[int, list[Term]] = {}
    for term in _side_by_side(values, shape):
        of_operation = kept.setdefault(term.origin.operation, [])
        for i, other in enumerate(of_operation):
            if _alike(term, other):
                of_operation[i] = _summed(other, term)
                break
        else:
            of_operation.append(term)
    return Value(tuple(shape), tuple(term for terms in kept.values() for term in terms))


def _side_by_side(values: Sequence[Value], shape: Sequence[int]) -> list[Term]:
    shape = tuple(shape)
    return [Term(term.labels.expand(shape), term.origin) for v in values for term in v.terms]


def _summed(first: Term, second: Term) -> Term:
    """Return one term for two that differ only in their scales and factors."""
    a, b = first.origin, second.origin
    n_common = 0
    for mine, other in zip(a.scales, b.scales, strict=False):
        if mine[0] != other[0] or not torch.equal(mine[1], other[1]):
            break
        n_common += 1
    common, *rests = a.scales[:n_common], a.scales[n_common:], b.scales[n_common:]
    if not any(rests):
        return Term(first.labels, replace(a, factor=a.factor + b.factor))
    ways = tuple(
        (factor, tuple((scale, tuple(entries.tolist())) for scale, entries in rest))
        for factor, rest in zip((a.factor, b.factor), rests, strict=True)
    )
    total = (Total(ways), torch.arange(len(a.channels)))
    return Term(first.labels, replace(a, scales=(*common, total), factor=1.0))


def chosen(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return an elementwise choice between values; a term held by several counts once.

    It keeps the largest of its factors, so that where(x > 0, x, 0.1 x) is an activation of x.
    """
    kept: list[Term] = []
    for term in _side_by_side(values, shape):
        for i, other in enumerate(kept):
            if _alike(term, other) and _scaled_alike(term.origin, other.origin):
                factor = max(term.origin.factor, other.origin.factor)
                kept[i] = Term(other.labels, replace(other.origin, factor=factor))
                break
        else:
            kept.append(term)
    return Value(tuple(shape), tuple(kept))


def gated(values: Sequence[Value], shape: Sequence[int]) -> Value:
    """Return a product of input-dependent values: all their terms, without plain numbers.

    A value times a function of itself is an activation, so a term held by both counts once.
    """
    terms = []
    for term in _side_by_side(values, shape):
        scales = tuple(pair for pair in term.origin.scales if not pair[0].is_number)
        origin = replace(term.origin, scales=scales, factor=1.0, gated=True)
        terms.append(Term(term.labels, origin))
    return chosen([Value(tuple(shape), tuple(terms))], shape)


def scaled(value: Value, scale: Scale, entries: Tensor, n_entries: int) -> Value:
    """Return the value with each element multiplied by an entry of a constant.

    Args:
        value: the value to scale.
        scale: the constant.
        entries: for each element, the index of its entry; broadcasts to the value's shape.
        n_entries: the number of entries of the constant.
    """
    terms = []
    for term in value.terms:
        # A scale of the input is no strength between neurons, and a number after a gate belongs to
        # the activation.
        if term.origin.operation == INPUT or (term.origin.gated and scale.is_number):
            terms.append(term)
            continue
        labels, entry = without_repeats(term.labels, entries.expand(value.shape))
        keys, places = torch.unique(labels * n_entries + entry, return_inverse=True)
        old = keys // n_entries - 1
        places = places + 1
        if int(old[0]) < 0:  # label 0 stays 0 for every entry
            n_zero = int((old < 0).sum())
            old, keys = old[n_zero:], keys[n_zero:]
            places = (places - n_zero).clamp_min(0)
        origin = _chosen(term.origin, old)
        scales = (*origin.scales, (scale, keys % n_entries))
        terms.append(Term(places.expand(value.shape), replace(origin, scales=scales)))
    return Value(value.shape, tuple(terms))


def multiplied(value: Value, factor: float) -> Value:
    """Return the value times a plain number."""
    terms = [
        term
        if term.origin.gated
        else Term(term.labels, replace(term.origin, factor=term.origin.factor * abs(factor)))
        for term in value.terms
    ]
    return Value(value.shape, tuple(terms))


def mark_repeats(labels: Tensor) -> Tensor:
    """Return the same labels, with stride 0 along every axis where they repeat."""
    shape = labels.shape
    for axis in range(labels.ndim):
        first = labels.narrow(axis, 0, min(1, labels.shape[axis]))
        if labels.stride(axis) == 0 or bool((labels == first).all()):
            labels = first
    return labels.expand(shape)


def without_repeats(*arrays: Tensor) -> tuple[Tensor, ...]:
    """Return arrays of one shape cut to length 1 along every axis where all of them repeat."""
    for axis in range(arrays[0].ndim):
        if all(array.stride(axis) == 0 for array in arrays):
            arrays = tuple(array.narrow(axis, 0, min(1, array.shape[axis])) for array in arrays)
    return arrays


def _chosen(origin: Origin, labels: Tensor) -> Origin:
    """Return the origin for new labels, each of which stands for an old one (from 0)."""
    scales = tuple((scale, entries[labels]) for scale, entries in origin.scales)
    return replace(origin, channels=origin.channels[labels], scales=scales)


def same_origin(a: Origin, b: Origin) -> bool:
    """Whether two origins give labels the same outputs, scales and factor."""
    return a is b or (a.factor == b.factor and _unscaled_alike(a, b) and _scaled_alike(a, b))


def _alike(term: Term, other: Term) -> bool:
    """Whether two terms are equal except for their scales and factors."""
    return _unscaled_alike(term.origin, other.origin) and torch.equal(
        *without_repeats(term.labels, other.labels)
    )


def _unscaled_alike(a: Origin, b: Origin) -> bool:
    return (
        a.operation == b.operation
        and a.gated == b.gated
        and a.channels.shape == b.channels.shape
        and torch.equal(a.channels, b.channels)
    )


def _scaled_alike(a: Origin, b: Origin) -> bool:
    return len(a.scales) == len(b.scales) and all(
        scale == other_scale and torch.equal(entries, others)
        for (scale, entries), (other_scale, others) in zip(a.scales, b.scales, strict=True)
    )
