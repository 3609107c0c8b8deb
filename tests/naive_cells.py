"""What the elements of a naive tensor hold, and the weight operations that ran on it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from torch import Tensor

IMAGE = -1
"""Stands for the network's input where otherwise the number of a weight operation stands."""

Contributions = dict[tuple[int, int], float]
"""Scale of the path by (weight operation, its output channel)."""


@dataclass(frozen=True)
class Cell:
    """What an element holds, and which neuron it is of: pixels of a channel share a label."""

    contributions: frozenset[tuple[tuple[int, int], float]]
    label: int


@dataclass
class Call:
    """One run of a weight operation: contributions to each neuron of its input, in order."""

    name: str
    weight: Tensor
    linear: bool
    groups: int
    transposed: bool
    inputs: list[Contributions]
    pixels: list[list[int]]
    """Inputs of the weight that each neuron holds: several where a linear layer reads pixels."""


@dataclass
class Record:
    """All cells and all calls of one forward pass."""

    names: dict[int, str]
    calls: list[Call] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=lambda: [Cell(frozenset(), 0)])
    cell_numbers: dict[Cell, int] = field(default_factory=dict)
    labels: dict[Hashable, int] = field(default_factory=dict)
    on_maps: set[int] = field(default_factory=set)
    """Operations whose outputs have stood at several positions of a tensor."""

    def note_positions(self, numbers: Tensor) -> None:
        """Note whose outputs are the same along an axis after the first, of three or more."""
        for axis in range(1, numbers.ndim) if numbers.ndim > 2 else ():
            first = numbers.narrow(axis, 0, 1)
            if numbers.shape[axis] > 1 and bool((numbers == first).all()):
                for number in first.unique().tolist():
                    self.on_maps |= {operation for operation, _ in self.contributions(number)}

    def label(self, key: Hashable) -> int:
        return self.labels.setdefault(key, len(self.labels) + 1)

    def cell(self, contributions: Contributions, label: int) -> int:
        # What scales the input is no strength between neurons.
        items = ((key, 1.0 if key[0] == IMAGE else scale) for key, scale in contributions.items())
        cell = Cell(frozenset(items), label)
        if cell not in self.cell_numbers:
            self.cell_numbers[cell] = len(self.cells)
            self.cells.append(cell)
        return self.cell_numbers[cell]

    def contributions(self, number: int) -> Contributions:
        return dict(self.cells[number].contributions)

    def scaled(self, number: int, scale: float) -> int:
        scaled = {key: scale * old for key, old in self.contributions(number).items()}
        return self.cell(scaled, self.cells[number].label)

    def merged(self, first: int, second: int, how: Callable[[float, float], float]) -> int:
        """A cell with both contributions; ``how`` joins the scales of one that is in both."""
        if not first or not second:
            return first or second
        total = self.contributions(first)
        for key, scale in self.contributions(second).items():
            total[key] = how(total[key], scale) if key in total else scale
        labels = (self.cells[first].label, self.cells[second].label)
        return self.cell(total, labels[0] if labels[0] == labels[1] else self.label(labels))

    def pooled(self, numbers: Iterable[int]) -> int:
        """One cell for many pixels of a channel."""
        kept = sorted({number for number in numbers if number})
        if len(kept) < 2:
            return kept[0] if kept else 0
        labels = {self.cells[number].label for number in kept}
        label = labels.pop() if len(labels) == 1 else self.label(frozenset(labels))
        return self.cell(self.union(kept), label)

    def averaged(self, numbers: Iterable[int]) -> int:
        """One cell for the mean of many; where these are several neurons, each has its share."""
        numbers = list(numbers)
        labels = {self.cells[number].label for number in numbers if number}
        if len(labels) < 2:
            return self.pooled(numbers)
        total: Contributions = {}
        for number in numbers:
            for key, scale in self.contributions(number).items():
                total[key] = total.get(key, 0.0) + scale / len(numbers)
        return self.cell(total, self.label(frozenset(labels)))

    def union(self, numbers: Iterable[int]) -> Contributions:
        """Contributions to a neuron from its pixels, which must agree on the scale."""
        total: Contributions = {}
        for number in numbers:
            for key, scale in self.cells[number].contributions:
                assert total.setdefault(key, scale) == scale, "pixels of a neuron differ in scale"
        return total
