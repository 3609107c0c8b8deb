"""The neurons' graph of a model, built neuron by neuron from the definition.

A layer is the input of one weight operation, or the output; neurons are channels or features; an
operation joins its input to whatever its output reaches without passing another. What is already
read is no layer again where it is an output. Nothing here is
fast or shared with the package, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from naive_cells import IMAGE, Call, Contributions, Record
from naive_outputs import new_neurons
from naive_tensor import run


@dataclass(frozen=True)
class TwinLayer:
    """A segment of what one operation reads: the neurons that the same operations reach.

    Attributes:
        reader: number of the operation in the order of the forward pass; that of the output is
            one more than the last.
        name: path of the reading operation's module; ``output`` for the output.
        segment: number of the segment, in the order of first channels.
        neurons: channels or features, as the reader counts them.
        contributions: for each neuron, which operations' outputs arrive, and at what scale.
    """

    reader: int
    name: str
    segment: int
    neurons: tuple[int, ...]
    contributions: tuple[Contributions, ...]

    @cached_property
    def operations(self) -> frozenset[int]:
        return frozenset(operation for operation, _ in self.contributions[0])


@dataclass(frozen=True)
class Twin:
    """Layers and blocks (source, target), as pairs of positions in ``layers``."""

    layers: tuple[TwinLayer, ...]
    blocks: tuple[tuple[int, int], ...]
    calls: tuple[Call, ...]

    @cached_property
    def offsets(self) -> list[int]:
        return [0, *np.cumsum([len(layer.neurons) for layer in self.layers]).tolist()]

    @property
    def n_neurons(self) -> int:
        return self.offsets[-1]

    @property
    def n_strengths(self) -> int:
        sizes = [len(layer.neurons) for layer in self.layers]
        return sum(sizes[source] * sizes[target] for source, target in self.blocks)

    def counts(self) -> tuple[int, int, int, int]:
        """Layers, neurons, blocks and strengths."""
        return len(self.layers), self.n_neurons, len(self.blocks), self.n_strengths

    def place(self, name: str, neuron: int) -> int:
        """Number, in the whole graph, of a neuron that the named operation reads."""
        for layer, start in zip(self.layers, self.offsets, strict=False):
            if layer.name == name and neuron in layer.neurons:
                return start + layer.neurons.index(neuron)
        raise KeyError((name, neuron))

    @cached_property
    def norms(self) -> list[NDArray[np.float64]]:
        return [kernel_norms(call) for call in self.calls]

    def block(self, source: int, target: int) -> NDArray[np.float64]:
        """Strengths between two layers, one contribution at a time."""
        first, second = self.layers[source], self.layers[target]
        norms = self.norms[first.reader][:, first.neurons]
        strengths = np.zeros((len(first.neurons), len(second.neurons)))
        for t, contributions in enumerate(second.contributions):
            for (operation, output), scale in contributions.items():
                if operation == first.reader:
                    strengths[:, t] += norms[output] * scale
        return strengths

    @cached_property
    def adjacency(self) -> NDArray[np.float64]:
        total = np.zeros((self.n_neurons, self.n_neurons))
        offsets = self.offsets
        for source, target in self.blocks:
            rows = slice(offsets[source], offsets[source + 1])
            columns = slice(offsets[target], offsets[target + 1])
            strengths = self.block(source, target)
            total[rows, columns] += strengths
            total[columns, rows] += strengths.T
        return total


def kernel_norms(call: Call) -> NDArray[np.float64]:
    """L1 norm between each output and each neuron of the input; 0 outside the groups."""
    weight = call.weight.double().abs().numpy()
    sizes = weight.reshape(*weight.shape[:2], -1).sum(2)
    n_outputs = sizes.shape[1] * call.groups if call.transposed else sizes.shape[0]
    outputs = np.arange(n_outputs)
    groups = np.array([group_of_output(call, o) for o in outputs])
    norms = np.zeros((n_outputs, len(call.inputs)))
    for i, pixels in enumerate(call.pixels):
        if call.transposed:
            of_pixels = sizes[pixels][:, outputs % sizes.shape[1]].sum(0)
        else:
            of_pixels = sizes[:, [pixel % sizes.shape[1] for pixel in pixels]].sum(1)
        norms[:, i] = np.where(groups == group_of_input(call, i), of_pixels, 0)
    return norms


def group_of_input(call: Call, i: int) -> int:
    return i * call.groups // len(call.inputs)


def group_of_output(call: Call, o: int) -> int:
    per_group = call.weight.shape[1] if call.transposed else len(call.weight) // call.groups
    return o // per_group


def naive_twin(model: nn.Module, image: Tensor, include: Collection[str] = ()) -> Twin:
    """The graph of a model; layers in the order of their readers, segments by first channel."""
    return twin_of_run(*run(model, image), include)


def twin_of_run(record: Record, output: Tensor, include: Collection[str] = ()) -> Twin:
    """The graph of a model that ran once, for any parts included."""
    calls = record.calls
    layers = [
        layer
        for number, call in enumerate(calls)
        for layer in segments(number, call.name, call.inputs)
    ]
    layers += output_layers(record, output)
    counted = counted_operations(record, include)
    blocks = [
        (source, target)
        for source, layer in enumerate(layers)
        for target, other in enumerate(layers)
        if layer.reader in counted
        and layer.reader in other.operations
        and (layer.operations != {IMAGE} or takes_image(calls, include))
        and joined(calls[layer.reader], layer, other)
    ]
    touched = sorted({end for block in blocks for end in block})
    number = {old: new for new, old in enumerate(touched)}
    return Twin(
        tuple(layers[old] for old in touched),
        tuple((number[source], number[target]) for source, target in blocks),
        tuple(calls),
    )


def segments(reader: int, name: str, inputs: list[Contributions]) -> list[TwinLayer]:
    groups: dict[frozenset[int], list[int]] = {}
    for neuron, contributions in enumerate(inputs):
        groups.setdefault(frozenset(op for op, _ in contributions), []).append(neuron)
    return [
        TwinLayer(reader, name, i, tuple(neurons), tuple(inputs[n] for n in neurons))
        for i, neurons in enumerate(groups.values())
    ]


def output_layers(record: Record, output: Tensor) -> list[TwinLayer]:
    """Segments of the output without what is already read, or returned."""
    n_calls, found = len(record.calls), output_contributions(record, output)
    read = [weighed(neuron) for call in record.calls for neuron in call.inputs]
    parts = [layer.neurons for layer in segments(n_calls, "output", found)]
    new = new_neurons([weighed(neuron) for neuron in found], parts, read)
    return segments(n_calls, "output", [found[neuron] for neuron in new])


def weighed(contributions: Contributions) -> frozenset[tuple[int, int]]:
    """The outputs of operations that arrive, without the image."""
    return frozenset((operation, o) for operation, o in contributions if operation != IMAGE)


def output_contributions(record: Record, output: Tensor) -> list[Contributions]:
    """One entry for each neuron of the output that a weight operation reaches."""
    neurons: dict[int, list[int]] = {}
    for number in dict.fromkeys(output.flatten().tolist()):
        neurons.setdefault(record.cells[number].label, []).append(number)
    found = [record.union(numbers) for numbers in neurons.values()]
    return [c for c in found if any(operation != IMAGE for operation, _ in c)]


def counted_operations(record: Record, include: Collection[str]) -> set[int]:
    """All of an MLP; else without the dense head, linear layers after the last map."""
    calls = record.calls
    everything = set(range(len(calls)))
    if "dense" in include or all(call.linear for call in calls):
        return everything
    reaches = {number for number, call in enumerate(calls) if not call.linear} | record.on_maps
    for number in reversed(range(len(calls))):
        if number in reaches:
            reaches |= {op for neuron in calls[number].inputs for op, _ in neuron}
    return everything & reaches


def takes_image(calls: list[Call], include: Collection[str]) -> bool:
    return "input" in include or all(call.linear for call in calls)


def joined(call: Call, source: TwinLayer, target: TwinLayer) -> bool:
    """Whether any output that arrives in the target lies in a group of the source."""
    groups = {group_of_input(call, neuron) for neuron in source.neurons}
    return any(
        operation == source.reader and group_of_output(call, output) in groups
        for contributions in target.contributions
        for operation, output in contributions
    )
