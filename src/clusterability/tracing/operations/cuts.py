"""Parts of maps whose pixels were multiplied by numbers of their own, as by a mask of pixels.

A neuron's scale is the mean over its pixels. Where only some of these go on, as in
``(h * mask)[..., :2]``, it is the mean over these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clusterability.tracing.operations.registry import Call
from clusterability.tracing.origins import Term, Value
from clusterability.wiring.scales import Multiplier, Scale, Total

_REMEDY = (
    "it takes some of the pixels that a constant has multiplied, each by its own number, where "
    "others were moved or added between; take them before the product"
)


def has_averages(value: Value | None) -> bool:
    """Whether a constant has multiplied pixels by numbers of their own."""
    return value is not None and any(map(_averages, value.terms))


def cut(call: Call, value: Value, axis: int, move: Callable[[Tensor], Tensor]) -> Value:
    """Return a value of which a move keeps a part along an axis, with scales of that part.

    Raises:
        InputError: if it cannot be told which numbers belong to it.
    """
    if axis == 0:  # examples have the same numbers
        return value
    sizes = [n if i == axis else 1 for i, n in enumerate(value.shape)]
    places = torch.arange(value.shape[axis]).view(sizes).expand(value.shape)
    taken = torch.unique(move(places)).tolist()
    if len(taken) == value.shape[axis]:
        return value
    return Value(value.shape, tuple(_cut(call, term, axis, taken) for term in value.terms))


def rearranged(call: Call, value: Value) -> Value:
    """Return a value whose axes are moved, so that those of such constants are no longer its own.

    Raises:
        InputError: if it loses pixels.
    """
    if call.operation == "aten.index" and call.shape[2:] == value.shape[2:]:
        return value  # it takes channels
    if torch.Size(call.shape).numel() < torch.Size(value.shape).numel():
        raise call.refusal(_REMEDY)
    terms = []
    for term in value.terms:
        scales = tuple((_moved(scale), entries) for scale, entries in term.origin.scales)
        terms.append(replace(term, origin=replace(term.origin, scales=scales)))
    return Value(value.shape, tuple(terms))


def _cut(call: Call, term: Term, axis: int, taken: Sequence[int]) -> Term:
    is_along = bool(term.labels.stride(axis))  # other neurons, or pixels beside nothing
    scales = tuple(
        (_cut_scale(call, scale, term.labels.shape, axis, () if is_along else taken), entries)
        for scale, entries in term.origin.scales
    )
    return replace(term, origin=replace(term.origin, scales=scales))


def _cut_scale(
    call: Call, scale: Scale, shape: Sequence[int], axis: int, taken: Sequence[int]
) -> Scale:
    if not _is_average(scale):
        return scale
    is_own = isinstance(scale, Multiplier) and len(scale.shape) == len(shape)
    if not isinstance(scale, Multiplier) or scale.is_moved or not is_own:
        if taken:
            raise call.refusal(_REMEDY)
        return scale
    if axis not in scale.averaged:
        return scale
    before = dict(scale.parts).get(axis, tuple(range(scale.shape[axis])))
    if len(before) != shape[axis] or not taken:
        raise call.refusal(_REMEDY)
    parts = {**dict(scale.parts), axis: tuple(before[i] for i in taken)}
    return replace(scale, parts=tuple(sorted(parts.items())))


def _averages(term: Term) -> bool:
    return any(_is_average(scale) for scale, _ in term.origin.scales)


def _is_average(scale: Scale) -> bool:
    if isinstance(scale, Total):
        return any(_is_average(own) for _, scales in scale.ways for own, _ in scales)
    return isinstance(scale, Multiplier) and bool(scale.averaged)


def _moved(scale: Scale) -> Scale:
    if isinstance(scale, Multiplier) and scale.averaged:
        return replace(scale, is_moved=True)
    return scale
