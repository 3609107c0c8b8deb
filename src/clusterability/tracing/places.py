"""Places: which element of an operation's output a label stands for, beside its channel.

Pixels of a channel have one label, and so have copies of an element, as ``expand`` makes them. A
sum over pixels counts their neuron once, since the operation's kernel is one for all of them; a sum
over copies counts it as often as it is added. Places tell them apart. They are moved as the labels
are, but only when a rule asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clusterability.tracing.origins import Term

_MIXING = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
"""Shifts and factors of SplitMix64 (Steele, Lea, Flood 2014), by which bits are mixed."""


class Places:
    """Numbers of a term's elements that broadcast to its shape; 0 for none.

    Args:
        how: computes them from those of ``sources``.
        sources: other places.
    """

    def __init__(self, how: Callable[..., Tensor], *sources: Places) -> None:
        self._how, self._sources = how, sources
        self._numbers: Tensor | None = None

    def numbers(self) -> Tensor:
        """Return the numbers, computed once."""
        waiting = [self]
        while waiting:  # a chain of moves may be longer than Python lets functions nest
            last = waiting[-1]
            missing = [source for source in last._sources if source._numbers is None]
            if last._numbers is None and missing:
                waiting += missing
                continue
            waiting.pop()
            if last._numbers is None:
                last._numbers = last._how(*(source._numbers for source in last._sources))
                last._sources = ()
        assert self._numbers is not None
        return self._numbers


def new_places(shape: Sequence[int], axis: int | None) -> Places:
    """Return those of an operation's output with its channels along ``axis``."""
    kept = [1 if axis is not None and i == axis % len(shape) else n for i, n in enumerate(shape)]
    return Places(lambda: torch.arange(1, math.prod(kept) + 1).view(kept))


def together(first: Places | None, second: Places | None) -> Places | None:
    """Return the places of a sum of two terms of the same labels."""
    if first is second or first is None or second is None:
        return first
    return Places(lambda a, b: _mixed_bits(a) + 3 * _mixed_bits(b), first, second)


def of_rows(
    places: Sequence[Places | None], columns: Callable[[Tensor], Tensor], shape: Sequence[int]
) -> Places | None:
    """Return those of what is computed from several elements each.

    Args:
        places: of the elements of each term that goes into it.
        columns: maps a tensor of their shape to the (..., n) elements of each result.
        shape: of the elements.
    """
    known = [each for each in places if each is not None]
    if len(known) < len(places):
        return None

    def how(*numbers: Tensor) -> Tensor:
        return torch.stack(
            [_mixed_bits(columns(each.expand(shape))).sum(-1) for each in numbers]
        ).sum(0)

    return Places(how, *known)


def of_whole_axes(
    places: Places | None, axes: Sequence[int], before: Sequence[int], after: Sequence[int]
) -> Places | None:
    """Return those of what a pool makes of whole axes: pixels of pixels, but copies of copies."""
    if places is None:
        return None

    def how(numbers: Tensor) -> Tensor:
        numbers = numbers.reshape(*[1] * (len(before) - numbers.ndim), *numbers.shape)
        numbers = numbers.expand([n if i in axes else -1 for i, n in enumerate(before)])
        first = numbers
        for axis in axes:
            first = first.narrow(axis, 0, min(1, first.shape[axis]))
        if bool((numbers == first).all()):
            return first
        sums = _mixed_bits(numbers).sum(list(axes), keepdim=True)
        sizes = [n if i in axes else 1 for i, n in enumerate(after)]
        return _mixed_bits(sums + torch.arange(math.prod(sizes)).view(sizes))

    return Places(how, places)


def are_copies(term: Term, axis: int) -> bool:
    """Whether the elements along an axis are one element again and again."""
    if term.places is None or term.labels.shape[axis] == 1:
        return False
    if term.labels.stride(axis):
        return False
    numbers = _aligned(term)
    assert numbers is not None
    return numbers.shape[axis] == 1 or bool((numbers == numbers.narrow(axis, 0, 1)).all())


def share_of_copies(term: Term, axes: Sequence[int]) -> float:
    """Return the share of the places along axes that copies of an element fill, beside zeros.

    It is 1 where other elements lie there, such as pixels, or where it is not the same everywhere.
    """
    numbers = _aligned(term)
    if numbers is None or any(term.labels.stride(axis) for axis in axes):
        return 1.0
    last = numbers.movedim(list(axes), list(range(-len(axes), 0))).flatten(-len(axes))
    copied = (last == 0) | (last == last.amax(-1, keepdim=True))
    shares = (last != 0).double().mean(-1).flatten()
    if not len(shares) or not bool(copied.all()) or not bool((shares == shares[0]).all()):
        return 1.0
    return float(shares[0]) or 1.0


def _aligned(term: Term) -> Tensor | None:
    """Return the numbers of a term's places with as many axes as its labels; None if it has none.

    An axis of length 1 stands for one of any length.
    """
    if term.places is None:
        return None
    numbers = term.places.numbers()
    return numbers.reshape(*[1] * (term.labels.ndim - numbers.ndim), *numbers.shape)


def _are_distinct(term: Term, axes: Sequence[int]) -> bool:
    """Whether no element comes twice along axes, since no number does."""
    numbers = _aligned(term)
    if numbers is None:
        return True
    if any(numbers.shape[axis] == 1 < term.labels.shape[axis] for axis in axes):
        return False
    held = numbers[numbers != 0]
    if bool((held[1:] > held[:-1]).all()):  # as those of pixels are at first
        return True
    return len(torch.unique(held)) == len(held)


def times_added(terms: Sequence[Term], axes: Sequence[int]) -> list[Tensor]:
    """Return for each element how often a sum over axes adds it; pixels of a channel once.

    Where sums take the same labels together, as for pixels, it is the mean over these sums.

    Args:
        terms: of one origin, which are added up together.
        axes: over which they are.

    Returns:
        For each term numbers that broadcast to its labels.
    """
    both = [
        (term.labels, term.places.numbers().expand(term.labels.shape))
        for term in terms
        if term.places is not None
    ]
    is_plain = len(terms) == 1 and _are_distinct(terms[0], axes)
    if is_plain or len(both) < len(terms):
        return [torch.ones([1] * term.labels.ndim, dtype=torch.float64) for term in terms]
    for axis in range(terms[0].labels.ndim):
        if axis not in axes and all(labels.stride(axis) == 0 for labels, _ in both):
            both = [(_first(labels, axis), _first(numbers, axis)) for labels, numbers in both]
    labels, numbers = (torch.cat(parts, axes[0]) for parts in zip(*both, strict=True))
    sizes = [part.shape[axes[0]] for part, _ in both]
    n_labels = len(terms[0].origin.channels) + 1
    return list(torch.split(_times(labels, numbers, axes, n_labels), sizes, axes[0]))


def _first(numbers: Tensor, axis: int) -> Tensor:
    return numbers.narrow(axis, 0, min(1, numbers.shape[axis]))


def _times(labels: Tensor, numbers: Tensor, axes: Sequence[int], n_labels: int) -> Tensor:
    """Return :func:`times_added` for the labels and the places of all terms."""
    kept = [1 if i in axes else n for i, n in enumerate(labels.shape)]
    n_rows = math.prod(kept)
    rows = torch.arange(n_rows).view(kept).expand(labels.shape)
    held = (labels > 0) & (numbers != 0)
    pairs = rows * n_labels + labels
    found, which = torch.unique(_mixed_bits(numbers[held]) + pairs[held], return_inverse=True)
    of_found = torch.zeros(len(found), dtype=torch.int64)
    of_found[which] = pairs[held]
    elements = torch.zeros_like(of_found)
    elements[which] = _mixed_bits(numbers[held]) + labels[held]
    alike = _alike_rows(of_found, elements, torch.bincount(which), n_rows, n_labels)
    keys = alike[rows] * n_labels + labels
    known, added = torch.unique(keys[held], return_inverse=True)
    places = torch.searchsorted(known, alike[of_found // n_labels] * n_labels + of_found % n_labels)
    times = torch.bincount(added, minlength=1) / torch.bincount(places, minlength=1).clamp_min(1)
    at = torch.searchsorted(known, keys).clamp_max(max(0, len(known) - 1))
    is_known = known[at] == keys if len(known) else torch.zeros_like(held)
    return torch.where(is_known, times[at].double(), 1.0)


def _alike_rows(
    pairs: Tensor, elements: Tensor, times: Tensor, n_rows: int, n_labels: int
) -> Tensor:
    """Return for each row a number that it shares with all rows of the same labels.

    Rows that hold an element at different times are no pixels, and share it where all times agree.

    Args:
        pairs: ``row * n_labels + label`` of each element of each row.
        elements: a number of each, the same for the same element in all rows.
        times: how often each is there.
        n_rows: the number of rows.
        n_labels: the number of labels.
    """
    rows, distinct = pairs // n_labels, torch.unique(pairs)
    sums = torch.zeros(n_rows, dtype=torch.int64)
    sums.index_add_(0, distinct // n_labels, _mixed_bits(distinct % n_labels))
    alike = torch.unique(sums, return_inverse=True)[1]
    _, which = torch.unique(elements + 3 * _mixed_bits(alike[rows] + 1), return_inverse=True)
    ends = torch.zeros(2, len(pairs), dtype=torch.int64)
    for end, how in zip(ends, ("amin", "amax"), strict=True):
        end.scatter_reduce_(0, which, times, how, include_self=False)
    differing = torch.isin(alike, alike[rows[(ends[0] != ends[1])[which]]])
    by_times = torch.zeros(n_rows, dtype=torch.int64)
    by_times.index_add_(0, rows, _mixed_bits(pairs % n_labels) * times)
    numbers: Tensor = torch.unique(
        torch.where(differing, by_times, _mixed_bits(alike + 1)), return_inverse=True
    )[1]
    return numbers


def _mixed_bits(numbers: Tensor) -> Tensor:
    """Return numbers that have little in common where the given ones differ; 0 for 0."""
    mixed = numbers.clone(memory_format=torch.contiguous_format)
    for shift, factor in _MIXING:
        mixed.bitwise_xor_(_upper_bits(mixed, shift)).mul_(factor)
    return mixed.bitwise_xor_(_upper_bits(mixed, 31))


def _upper_bits(numbers: Tensor, shift: int) -> Tensor:
    """Return the bits shifted down, with zeros above them: torch would repeat the sign."""
    return (numbers >> shift).bitwise_and_((1 << (64 - shift)) - 1)
