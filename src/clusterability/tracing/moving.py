"""Data movements run on labels: those of many terms at once, and once along repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from clusterability.tracing.origins import Term, expanded_labels, mark_repeats, without_repeats

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
        """Return what becomes of each term's labels, with stride 0 where they repeat.

        Args:
            held: the terms, each with the place of its input.
        """
        alike: dict[object, list[int]] = {}
        for number, (_, term) in enumerate(held):
            repeats = tuple(step == 0 for step in term.labels.stride())
            alike.setdefault(repeats, []).append(number)
        found: dict[int, Tensor] = {}
        for numbers in alike.values():
            moved = self._at_once([held[number] for number in numbers])
            found |= zip(numbers, moved, strict=True)
        return [found[number] for number in range(len(held))]

    def _at_once(self, held: Sequence[tuple[int, Term]]) -> list[Tensor]:
        """Return what becomes of the labels of terms that repeat along the same axes.

        The movement runs once, on numbers of the inputs' elements; labels are looked up by these.
        """
        if len(held) == 1:
            return [mark_repeats(self.one(place, term.labels)) for place, term in held]
        n_numbers, single = 1, self._single(held[0][1].labels)
        first: dict[int, int] = {}
        given: dict[int, Tensor] = {}
        for place, labels in {place: term.labels for place, term in held}.items():
            (cut,) = without_repeats(labels)
            first[place], n_numbers = n_numbers, n_numbers + cut.numel()
            numbers = torch.arange(first[place], n_numbers).view(cut.shape)
            given[place] = _cut(numbers.expand(labels.shape), single)
        whole = mark_repeats(self._run(single, given))
        moved = without_repeats(whole)[0].numpy()
        found = []
        for place, term in held:
            own = without_repeats(term.labels)[0].numpy()
            by_number = np.zeros(n_numbers, np.int64)
            by_number[first[place] : first[place] + own.size] = own.ravel()
            # Indexed by no axes, an array gives a number.
            found.append(expanded_labels(np.asarray(by_number[moved]), whole.shape))
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
