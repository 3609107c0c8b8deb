"""Which neurons of a network influence which, found by perturbing them; independent of tracing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from naive_outputs import new_neurons
from random_networks import RandomNetwork
from step_modules import WEIGHTS, Apply, Weighing


@dataclass(frozen=True)
class Influences:
    """What perturbation shows.

    Attributes:
        neurons: (reader, neuron) of all neurons, in the order of the graph: readers in the order
            of the forward pass, the output last; within a reader segment by segment (channels
            that the same operations reach), segments by their first channel. Neurons of segments
            that nothing touches are left out, and those of the output that make no layer.
        pattern: (n, n), symmetric: whether one influences the other through one operation.
        n_layers: number of segments.
    """

    neurons: list[tuple[int, int]]
    pattern: NDArray[np.bool_]
    n_layers: int


def influences(network: RandomNetwork) -> Influences:
    """Perturb each neuron that each operation reads, all other operations' outputs held.

    Independent of tracing: it sees only numbers that come out of the network. What a constant mask
    removes keeps its place in its layer, as behind a weight of 0, and influences nothing.
    """
    probe = Probe(network)
    new = probe.new_outputs()
    found = _influences(probe, new)
    if any(isinstance(m, Apply) and m.masks for m in network.modules()):
        masked = _influences(Probe(network, masked=True), new)
        places = np.array([found.neurons.index(neuron) for neuron in masked.neurons])
        found.pattern[:] = False
        found.pattern[np.ix_(places, places)] = masked.pattern
    return found


def _influences(probe: Probe, new: list[int]) -> Influences:
    n_operations = len(probe.readers)
    reached = {
        (operation, neuron): {t for t in targets if t[0] < n_operations or t[1] in new}
        for operation in range(n_operations)
        for neuron, targets in enumerate(probe.reached_from(operation))
    }
    of_image = probe.reached_from_image()
    sources: dict[tuple[int, int], set[int]] = {}
    for (operation, _), targets in reached.items():
        for target in targets:
            sources.setdefault(target, set()).add(operation)
    for target in of_image:
        sources.setdefault(target, set()).add(-1)
    touched = {end for start, targets in reached.items() if targets for end in (start, *targets)}
    neurons, n_layers = [], 0
    for reader in range(n_operations + 1):
        segments: dict[frozenset[int], list[tuple[int, int]]] = {}
        for neuron in new if reader == n_operations else range(probe.n_neurons(reader)):
            key = frozenset(sources.get((reader, neuron), ()))
            segments.setdefault(key, []).append((reader, neuron))
        kept = [segment for segment in segments.values() if touched & set(segment)]
        neurons += [neuron for segment in kept for neuron in segment]
        n_layers += len(kept)
    number = {neuron: i for i, neuron in enumerate(neurons)}
    pattern = np.zeros((len(neurons), len(neurons)), dtype=bool)
    for start, targets in reached.items():
        for end in targets:
            pattern[number[start], number[end]] = pattern[number[end], number[start]] = True
    return Influences(neurons, pattern, n_layers)


class Probe:
    """Runs a network with the outputs of its weight operations held."""

    def __init__(self, network: RandomNetwork, masked: bool = False) -> None:
        self.network, self.masked = network, masked
        self.operations = [m for m in network.modules() if isinstance(m, WEIGHTS)]
        self.held: list[Tensor] = []
        self.inputs, self.held = self.run(network.example())
        self.readers: list[nn.Module] = self.order

    def run(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs of all operations in the order of their runs, then the output; and outputs."""
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        self.order: list[nn.Module] = []

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            self.order.append(module)
            inputs.append(arguments[0])
            outputs.append(self.held[len(outputs)] if self.held else output)
            return outputs[-1]

        handles = [operation.register_forward_hook(hook) for operation in self.operations]
        nonlinear = [m for m in self.network.modules() if isinstance(m, Apply)]
        for module in nonlinear:
            module.linear = not (self.masked and module.masks)
        with torch.no_grad():
            inputs.append(self.network(image))
        for module in nonlinear:
            module.linear = False
        for handle in handles:
            handle.remove()
        return inputs, outputs

    def owners(self, reader: int) -> Tensor:
        """For each element of what a reader reads, (1, ...), the number of its neuron."""
        tensor = self.inputs[reader]
        if reader == len(self.readers):
            pixels, axis = self.network.result.pixels, 1
        else:
            module = self.readers[reader]
            axis = tensor.ndim - 1 if isinstance(module, nn.Linear) else 1
            if isinstance(module, Weighing):
                axis = module.neuron_axis % tensor.ndim
            pixels = getattr(module, "neuron_pixels", ())
        counts = torch.tensor(pixels or (1,) * tensor.shape[axis])
        owners = torch.arange(len(counts)).repeat_interleave(counts)
        shape = [-1 if i == axis else 1 for i in range(tensor.ndim)]
        return owners.reshape(shape).expand(tensor.shape)

    def n_neurons(self, reader: int) -> int:
        return int(self.owners(reader).max()) + 1

    def reached_from(self, operation: int) -> list[set[tuple[int, int]]]:
        """For each neuron that an operation reads, the (reader, neuron) that change with it."""
        generator = torch.Generator().manual_seed(2)
        tensor = self.inputs[operation]
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        # One row of the batch for each perturbed neuron.
        n = self.n_neurons(operation)
        rows = torch.arange(n).reshape(-1, *[1] * (tensor.ndim - 1))
        perturbed = tensor + noise * (self.owners(operation) == rows)
        with torch.no_grad():
            return self._changed_with(operation, self.readers[operation](perturbed))

    def new_outputs(self) -> list[int]:
        """The neurons of the network's output that make layers, ascending."""
        arriving: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for operation in range(len(self.readers)):
            for channel, targets in enumerate(self.reached_from_outputs(operation)):
                for target in targets:
                    arriving.setdefault(target, set()).add((operation, channel))
        last = len(self.readers)
        n_neurons = self.n_neurons(last)
        found = [frozenset(arriving.get((last, neuron), ())) for neuron in range(n_neurons)]
        segments: dict[frozenset[int], list[int]] = {}
        for neuron, sources in enumerate(found):
            if sources:
                segments.setdefault(frozenset(o for o, _ in sources), []).append(neuron)
        read = [frozenset(s) for (reader, _), s in arriving.items() if reader < last]
        return new_neurons(found, list(segments.values()), read)

    def reached_from_outputs(self, operation: int) -> list[set[tuple[int, int]]]:
        """For each output of an operation, the (reader, neuron) that change with it."""
        tensor = self.held[operation]
        axis = tensor.ndim - 1 if isinstance(self.readers[operation], nn.Linear) else 1
        n = tensor.shape[axis]
        places = torch.arange(n).reshape(-1, *[1] * (tensor.ndim - axis - 1))
        rows = torch.arange(n).reshape(-1, *[1] * (tensor.ndim - 1))
        generator = torch.Generator().manual_seed(3)
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        return self._changed_with(operation, tensor + noise * (places == rows))

    def _changed_with(self, operation: int, output: Tensor) -> list[set[tuple[int, int]]]:
        """For each row of an operation's output, the (reader, neuron) that change with it."""
        n, held, image = len(output), self.held, self.network.example()
        self.held = [tensor.expand(n, *tensor.shape[1:]) for tensor in held]
        self.held[operation] = output
        found = self.changed(image.expand(n, *image.shape[1:]))
        self.held = held
        return found

    def reached_from_image(self) -> set[tuple[int, int]]:
        image = self.network.example()
        return self.changed(image + image.sin())[0]

    def changed(self, images: Tensor) -> list[set[tuple[int, int]]]:
        inputs, _ = self.run(images)
        found: list[set[tuple[int, int]]] = [set() for _ in images]
        for reader, (before, after) in enumerate(zip(self.inputs, inputs, strict=True)):
            # A row of a batch may be rounded in another way than a row alone.
            differs = ~torch.isclose(before, after, rtol=1e-9, atol=1e-12)
            owners = self.owners(reader).expand(differs.shape)
            rows = torch.arange(len(images)).reshape(-1, *[1] * (differs.ndim - 1))
            pairs = torch.stack([rows.expand(differs.shape)[differs], owners[differs]], 1)
            for row, neuron in set(map(tuple, pairs.tolist())):
                found[row].add((reader, neuron))
        return found
