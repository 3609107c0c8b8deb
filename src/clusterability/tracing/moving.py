"""Data movements run on labels: those of several inputs at once, and once along repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from clusterability.tracing.origins import Term, mark_repeats, without_repeats

_Axes = tuple[int, ...]


class Mover:
    """A data movement: each element of what it returns is an element of one input, or constant.

    Args:
        move: the movement; takes one integer tensor for each input and returns one.
        shapes: the shapes of all inputs.
        along: the axis of the inputs that changes, or the axes, if the movement leaves all others
            as they are.
    """

    def __init__(
        self,
        move: Callable[..., Tensor],
        shapes: Sequence[Sequence[int]],
        along: int | range | None,
    ) -> None:
        self._move, self._shapes = move, shapes
        self._along = range(along, along + 1) if isinstance(along, int) else along
        self._zeros = cache(self._new_zeros)  # a concatenation of many takes them again and again

    def one(self, place: int, given: Tensor) -> Tensor:
        """Return what becomes of the numbers of the input at ``place``, all others being 0."""
        single = self._single(given)
        return self._run(single, {place: _cut(given, single)})

    def labels(self, held: Sequence[tuple[int, Term]]) -> list[Tensor]:
        """Return what becomes of each term's labels.

        Args:
            held: the terms, each with the place of its input.
        """
        rounds: dict[object, dict[int, int]] = {}  # one term of each input, by its place
        n_of_input = [0] * len(self._shapes)
        for number, (place, term) in enumerate(held):
            n_of_input[place] += 1
            alike = term.labels.ndim, self._single(term.labels)
            rounds.setdefault((n_of_input[place], alike), {})[place] = number
        found: dict[int, Tensor] = {}
        for numbers in rounds.values():
            moved = self._at_once({place: held[number][1] for place, number in numbers.items()})
            found |= {numbers[place]: labels for place, labels in moved.items()}
        return [found[number] for number in range(len(held))]

    def _at_once(self, terms: Mapping[int, Term]) -> dict[int, Tensor]:
        """Return what becomes of the labels of terms of different inputs, by the inputs' places."""
        if len(terms) == 1:
            return {place: self.one(place, term.labels) for place, term in terms.items()}
        n_before = 0
        single: _Axes = ()
        given: dict[int, Tensor] = {}
        first: dict[int, int] = {}
        for place, term in terms.items():  # each has numbers of its own for its labels
            (labels,) = without_repeats(term.labels)
            numbers = torch.where(labels > 0, labels + n_before, 0)
            single = self._single(term.labels)
            given[place] = _cut(numbers.expand(term.labels.shape), single)
            first[place] = n_before
            n_before += len(term.origin.channels)
        whole = mark_repeats(self._run(single, given))
        (moved,) = without_repeats(whole)
        found = {}
        for place, term in terms.items():
            labels = moved - first[place]
            is_own = (labels > 0) & (labels <= len(term.origin.channels))
            found[place] = torch.where(is_own, labels, 0).expand(whole.shape)
        return found

    def _single(self, labels: Tensor) -> _Axes:
        """Return the axes that stay as they are, and along which labels repeat."""
        if self._along is None:
            return ()
        strides = labels.stride()
        return tuple(i for i, n in enumerate(strides) if n == 0 and i not in self._along)

    def _run(self, single: _Axes, given: Mapping[int, Tensor]) -> Tensor:
        """Run the movement on some inputs, of length 1 along ``single``, with zeros for others."""
        (ndim,) = {numbers.ndim for numbers in given.values()}
        inputs = list(self._zeros(single, ndim))
        for place, numbers in given.items():
            inputs[place] = numbers
        return self._move(*inputs)

    def _new_zeros(self, single: _Axes, ndim: int) -> list[Tensor]:
        """Return zeros for all inputs, of length 1 along the axes in ``single``.

        Inputs of fewer than ``ndim`` axes, as an index may be, are as long as they are.
        """
        nothing = torch.zeros((), dtype=torch.int64)
        return [
            nothing.expand(_cut_shape(shape, single) if len(shape) == ndim else tuple(shape))
            for shape in self._shapes
        ]


def _cut(numbers: Tensor, axes: _Axes) -> Tensor:
    return (
        numbers.as_strided(_cut_shape(numbers.shape, axes), numbers.stride()) if axes else numbers
    )


def _cut_shape(shape: Sequence[int], axes: _Axes) -> _Axes:
    """Return a shape of length 1 along some axes."""
    return tuple(min(1, n) if i in axes else n for i, n in enumerate(shape))
