"""From the weight operations of a walk to a wiring.

A layer is the input of one weight operation, or the network's output; two operations that read the
same tensor are two layers, but an output that is a hidden layer adds none beside others. An
operation joins its own layer to that of every operation that its output reaches without passing
another. Where a layer reads a concatenation it is split into one layer a segment: neurons that the
same operations reach.

Source: section 3.1 of Filan et al. (2021), and the released code, which splits concatenations.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Layer
from clusterability.tracing.chains.chain import dense_part, image_part
from clusterability.tracing.copies import notes_on_repeats, relate
from clusterability.tracing.numbering import Indices, distinct
from clusterability.tracing.operations import WeightOperation
from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.outputs import new_outputs
from clusterability.tracing.reading import Arrivals, Reading, read
from clusterability.tracing.walking import Walked
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import Entries
from clusterability.wiring.scales import Scale
from clusterability.wiring.weights import Weight
from clusterability.wiring.wiring import Wiring, left_out_notes


class _Place(NamedTuple):
    """A segment of what a reader reads; readers are the operations in order, then the outputs."""

    reader: int
    segment: int


def assemble(walked: Walked, include: Collection[str]) -> tuple[Wiring, tuple[str, ...]]:
    """The wiring of what a walk has met, and notes on how it was read.

    Args:
        walked: the operations and outputs.
        include: for a CNN, ``"input"`` and ``"dense"`` add the image's layers and the dense head:
            linear layers that are not on a map, and from which nothing that is on one is reached.

    Raises:
        InputError: if no two layers are joined.
    """
    return Assembly(walked).wiring(include)


class Assembly:
    """The segments that weight operations read and join, from which wirings are made.

    Args:
        walked: the operations and outputs.

    Raises:
        InputError: if there is no weight operation.
    """

    def __init__(self, walked: Walked) -> None:
        self._walked, self._operations = walked, walked.operations
        if not self._operations:
            raise InputError("there is no weight layer: expected a dense layer or a convolution")
        self._names = _unique([operation.name for operation in self._operations])
        read_by_weights = _read_by_weights(self._operations)
        self._readings = [*read_by_weights, *new_outputs(walked.outputs, read_by_weights)]
        self._joins = _all_joins(self._operations, self._readings)
        self._ends = _Ends(self._operations, self._readings)

    def wiring(self, include: Collection[str]) -> tuple[Wiring, tuple[str, ...]]:
        """Return the wiring of the parts that are included, and notes, as :func:`assemble`."""
        names, readings = self._names, self._readings
        is_cnn = any(not operation.is_dense for operation in self._operations)
        with_head = not is_cnn or "dense" in include
        left_out = set() if with_head else _dense_head(self._walked, readings)
        no_input = is_cnn and "input" not in include

        joins: list[tuple[_Place, _Place]] = []
        reached: set[_Place] = set()
        for source, target in self._joins:
            is_image = readings[source.reader].producers[source.segment] == {INPUT}
            if source.reader not in left_out and not (no_input and is_image):
                joins.append((source, target))
            else:
                reached.add(target)
        missing = _missing_parts(names, readings, left_out, no_input)
        notes = (*self._walked.notes, *left_out_notes(missing))
        if not joins:
            raise InputError(
                "no two layers are left to join; "
                + ("; ".join(notes) or "the network is one layer")
                + '; pass include=("input", "dense"), on the command line --include input,dense'
            )
        places = sorted({place for join in joins for place in join})
        numbers = {place: i for i, place in enumerate(places)}
        layers = tuple(
            Layer(label, len(self._ends.members(place)))
            for place, label in zip(places, _layer_names(places, readings, names), strict=True)
        )
        connections = [
            Connection(numbers[source], numbers[target], *self._ends.between(source, target))
            for source, target in joins
        ]
        also = tuple(sorted(numbers[place] for place in reached if place in numbers))
        related, others = relate(connections, [layer.n_neurons for layer in layers])
        readers = {source.reader for source, _ in joins}
        uses = Counter(self._operations[reader].weight.name for reader in readers)
        shared = [name for name, n_uses in uses.items() if n_uses > 1]
        notes = (*notes, *notes_on_repeats(others, shared))
        return Wiring(layers, tuple(related), missing, also), notes


def _read_by_weights(operations: Sequence[WeightOperation]) -> list[Reading]:
    """What each operation reads; those that read one tensor alike share one reading."""
    found: dict[tuple[Value, int, bool], Reading] = {}
    for operation in operations:
        key = operation.reads, operation.axis, operation.is_dense
        if key not in found:
            found[key] = read(operation)
    return [found[each.reads, each.axis, each.is_dense] for each in operations]


def _all_joins(
    operations: Sequence[WeightOperation], readings: Sequence[Reading]
) -> list[tuple[_Place, _Place]]:
    """Every segment that an operation reads with every segment that its outputs reach."""
    reached: dict[int, list[tuple[_Place, Indices]]] = {i: [] for i in range(len(operations))}
    given_by = cache(_given)
    for j, reading in enumerate(readings):
        for segment, given in enumerate(given_by(reading)):
            for i, channels in given.items():
                reached[i].append((_Place(j, segment), channels))
    joins = []
    for i, operation in enumerate(operations):
        for segment in range(readings[i].n_segments):
            source = _Place(i, segment)
            groups = _groups(operation, readings[i], segment)
            n_of_group = operation.n_outputs // operation.weight.groups
            joins += [
                (source, target)
                for target, channels in reached[i]
                if groups is None or groups[channels // n_of_group].any()
            ]
    return joins


def _given(reading: Reading) -> list[dict[int, Indices]]:
    """For each segment, the outputs of each operation that arrive there."""
    found: list[dict[int, Indices]] = [{} for _ in range(reading.n_segments)]
    for arrivals in reading.arrivals:
        operation, channels = arrivals.origin.operation, arrivals.origin.channels.numpy()
        if operation == INPUT:
            continue
        of_arrivals = reading.segments[arrivals.neurons]
        for segment in distinct(of_arrivals).tolist():
            here = channels[arrivals.labels[of_arrivals == segment]]
            before = found[segment].get(operation, here[:0])
            found[segment][operation] = distinct(np.concatenate([before, here]))
    return found


def _groups(operation: WeightOperation, reading: Reading, segment: int) -> NDArray[np.bool_] | None:
    """Which groups of the operation read the segment, (n_groups,); None for a single one."""
    n_groups = operation.weight.groups
    if n_groups == 1:
        return None
    inputs = np.flatnonzero(reading.segments[reading.inputs] == segment)
    groups = np.zeros(n_groups, np.bool_)
    groups[inputs // (len(reading.inputs) // n_groups)] = True
    return groups


def _dense_head(walked: Walked, readings: Sequence[Reading]) -> set[int]:
    """Linear layers that come after the last map.

    On a map are convolutions, linear layers that are applied at each position, as a 1 x 1
    convolution is, and what is given back to each position, as a squeeze-and-excitation does.
    """
    operations = walked.operations
    reaching = {i for i, operation in enumerate(operations) if not operation.is_dense}
    reaching |= walked.on_maps
    for j in reversed(range(len(operations))):  # what runs later is looked at first
        if j in reaching:
            reaching |= {a.origin.operation for a in readings[j].arrivals}
    return set(range(len(operations))) - reaching


class _Ends:
    """What connections have at their ends, found once for each segment of each reading."""

    def __init__(self, operations: Sequence[WeightOperation], readings: Sequence[Reading]) -> None:
        self._operations, self._readings = operations, readings
        first: dict[Reading, int] = {}
        self._first = [first.setdefault(reading, j) for j, reading in enumerate(readings)]
        self._found: dict[_Place, tuple[Indices, Indices]] = {}
        self._inputs: dict[_Place, Entries] = {}
        self._reaching: dict[tuple[int, _Place], tuple[Route, ...]] = {}
        self._of_scales: dict[tuple[Tensor, bytes], tuple[int, ...]] = {}
        self._arrivals = [defaultdict[int, list[Arrivals]](list) for _ in readings]
        for of_operation, reading in zip(self._arrivals, readings, strict=True):
            for arrivals in reading.arrivals:
                of_operation[arrivals.origin.operation].append(arrivals)

    def members(self, place: _Place) -> Indices:
        """Return the neurons of a segment, among those of its reader."""
        return self._segment(self._of_first(place))[0]

    def between(self, source: _Place, target: _Place) -> tuple[Weight, Entries, tuple[Route, ...]]:
        """Return a connection's weight, the neurons of its inputs, and its routes."""
        weight = self._operations[source.reader].weight
        first, reached = self._of_first(source), (source.reader, self._of_first(target))
        if first not in self._inputs:
            members, position = self._segment(first)
            inputs = position[self._readings[first.reader].inputs]
            self._inputs[first] = _entries(inputs, len(members))
        if reached not in self._reaching:
            self._reaching[reached] = self._routes(*reached)
        return weight, self._inputs[first], self._reaching[reached]

    def _of_first(self, place: _Place) -> _Place:
        """Return the same segment of the first reader with the same reading."""
        return _Place(self._first[place.reader], place.segment)

    def _segment(self, place: _Place) -> tuple[Indices, Indices]:
        """Return its neurons, and for each neuron of the reader its position among them, or -1."""
        if place not in self._found:
            reading = self._readings[place.reader]
            members = reading.members(place.segment)
            position = np.full(len(reading.segments), -1)
            position[members] = np.arange(len(members))
            self._found[place] = members, position
        return self._found[place]

    def _routes(self, operation: int, target: _Place) -> tuple[Route, ...]:
        members, position = self._segment(target)
        n_outputs, routes = self._operations[operation].n_outputs, []
        for arrivals in self._arrivals[target.reader][operation]:
            places = position[arrivals.neurons]
            here = places >= 0
            if here.any():
                origin, labels = arrivals.origin, arrivals.labels[here]
                channels = _entries(origin.channels.numpy()[labels], n_outputs)
                neurons = _entries(places[here], len(members))
                scales = self._scales(origin.scales, labels)
                routes.append(Route(channels, neurons, scales, origin.factor))
        return tuple(routes)

    def _scales(
        self, scales: Sequence[tuple[Scale, Tensor]], labels: Indices
    ) -> tuple[tuple[Scale, tuple[int, ...]], ...]:
        """Return scales with the entries for some labels, found once: many routes have the same."""
        found, of_labels = [], labels.tobytes()
        for scale, entries in scales:
            key = entries, of_labels
            if key not in self._of_scales:
                self._of_scales[key] = tuple(entries.numpy()[labels].tolist())
            found.append((scale, self._of_scales[key]))
        return tuple(found)


def _entries(indices: Indices, n: int) -> Entries:
    """None for 0, 1, ... n - 1."""
    if len(indices) == n and np.array_equal(indices, np.arange(n)):
        return None
    return tuple(indices.tolist())


def _layer_names(
    places: Sequence[_Place], readings: Sequence[Reading], names: Sequence[str]
) -> list[str]:
    """The operation that produces a layer names it; where that is not one to one, the reader does.

    A chain's layers are so named as a state dict's are.
    """
    producers = [readings[place.reader].producers[place.segment] for place in places]
    reached = Counter(producer for found in producers for producer in found)
    labels = []
    for place, found in zip(places, producers, strict=True):
        reader = names[place.reader] if place.reader < len(names) else "output"
        if len(found) == 1:
            (producer,) = found
            name = "input" if producer == INPUT else names[producer]
            labels.append(name if reached[producer] == 1 else f"{name} -> {reader}")
        else:
            labels.append(f"to {reader}")
    return _unique(labels)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that come again numbered from 2."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _missing_parts(
    names: Sequence[str], readings: Sequence[Reading], left_out: set[int], no_input: bool
) -> tuple[str, ...]:
    """Return the parts of a CNN that are left out, in words."""
    parts = []
    if no_input:
        first = [
            name
            for name, reading in zip(names, readings, strict=False)
            if {INPUT} in reading.producers
        ]
        if first:
            parts.append(image_part(first))
    if left_out:
        parts.append(dense_part([names[i] for i in sorted(left_out)]))
    return tuple(parts)
