"""The outputs of a network that make layers: those that no weight operation reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.reading import Reading, read_output

Sources = frozenset[tuple[int, int]]
"""What arrives at a neuron: (operation, output) of each."""


def new_outputs(outputs: Iterable[Value], readings: Sequence[Reading]) -> list[Reading]:
    """Return what is read of the outputs that make layers.

    An output adds none if all of its neurons are hidden: what arrives at each arrives at one that a
    weight operation reads, whatever else does. Of neurons at which the same arrives, such as a
    logit and its softmax, the first counts, in one output as in several; an output that is part of
    another adds none, whichever comes first. The segments of an output, as of a concatenation, are
    taken like outputs of their own.

    Args:
        outputs: what the network returns.
        readings: what its weight operations read.
    """
    found = [reading for reading in map(read_output, outputs) if reading is not None]
    of_outputs = [_sources(reading) for reading in found]
    wanted = {source for neurons in of_outputs for sources in neurons for source in sources}
    places = _places(readings, wanted)
    parts = [
        (number, reading.members(segment).tolist())
        for number, reading in enumerate(found)
        for segment in range(reading.n_segments)
    ]
    held = [frozenset(of_outputs[number][i] for i in members) for number, members in parts]
    kept: list[list[int]] = [[] for _ in found]
    seen: set[Sources] = set()
    for (number, members), own in zip(parts, held, strict=True):
        is_hidden = (bool(set.intersection(*(places[s] for s in sources))) for sources in own)
        if all(is_hidden) or any(own < other for other in held):
            continue
        for neuron in members:
            sources = of_outputs[number][neuron]
            if sources not in seen:
                seen.add(sources)
                kept[number].append(neuron)
    return [
        reading.restricted(sorted(new)) for reading, new in zip(found, kept, strict=True) if new
    ]


def returned_channels(outputs: Iterable[Value]) -> dict[int, list[int]]:
    """Return which outputs of each operation arrive at the network's outputs."""
    found: dict[int, set[int]] = {}
    for reading in filter(None, map(read_output, outputs)):
        for operation, channel in set().union(*_sources(reading)):
            found.setdefault(operation, set()).add(channel)
    return {operation: sorted(channels) for operation, channels in found.items()}


def _sources(reading: Reading) -> list[Sources]:
    """Return what arrives at each neuron."""
    found: list[set[tuple[int, int]]] = [set() for _ in range(len(reading.segments))]
    for arrivals in reading.arrivals:
        operation = arrivals.origin.operation
        if operation != INPUT:
            channels = arrivals.origin.channels.numpy()[arrivals.labels]
            for neuron, channel in zip(arrivals.neurons.tolist(), channels.tolist(), strict=True):
                found[neuron].add((operation, channel))
    return [frozenset(sources) for sources in found]


def _places(
    readings: Sequence[Reading], wanted: set[tuple[int, int]]
) -> dict[tuple[int, int], set[tuple[int, int]]]:
    """Return, for each wanted source, the (reader, neuron) at which it arrives."""
    places: dict[tuple[int, int], set[tuple[int, int]]] = {source: set() for source in wanted}
    operations = {operation for operation, _ in wanted}
    for reader, reading in enumerate(readings):
        for arrivals in reading.arrivals:
            operation = arrivals.origin.operation
            if operation in operations:
                channels = arrivals.origin.channels.numpy()[arrivals.labels]
                arriving = zip(arrivals.neurons.tolist(), channels.tolist(), strict=True)
                for neuron, channel in arriving:
                    if (operation, channel) in places:
                        places[operation, channel].add((reader, neuron))
    return places
