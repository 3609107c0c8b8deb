"""The outputs of a network that make layers: those that no weight operation reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.reading import Arrivals, Indices, Reading, numbered, read_output

Sources = frozenset[tuple[int, int]]
"""What arrives at a neuron: (operation, output) of each."""


def new_outputs(outputs: Iterable[Value], readings: Sequence[Reading]) -> list[Reading]:
    """Return the outputs' neurons, without those that are neurons of the network already.

    These are hidden layers that the network returns too: all that arrives at such a neuron arrives
    at one that a weight operation reads, whatever else does. Of outputs that hold the same, such as
    logits and their softmax, the first counts.

    Args:
        outputs: what the network returns.
        readings: what its weight operations read.
    """
    found = [reading for reading in map(read_output, outputs) if reading is not None]
    wanted = {source for reading in found for sources in _sources(reading) for source in sources}
    places = _places(readings, wanted)
    seen: set[Sources] = set()
    kept = []
    for reading in found:
        all_sources = _sources(reading)
        is_new = [
            sources not in seen and not set.intersection(*(places[s] for s in sources))
            for sources in all_sources
        ]
        seen |= set(all_sources)
        part = _part(reading, np.array(is_new))
        if part is not None:
            kept.append(part)
    return kept


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


def _part(reading: Reading, is_kept: Indices) -> Reading | None:
    """Return some of a reading's neurons, numbered anew; None if there are none."""
    if is_kept.all():
        return reading
    if not is_kept.any():
        return None
    number = np.cumsum(is_kept) - 1
    arrivals = []
    for old in reading.arrivals:
        here = is_kept[old.neurons]
        if here.any():
            arrivals.append(Arrivals(old.origin, old.labels[here], number[old.neurons[here]]))
    inputs = reading.inputs[is_kept[reading.inputs]]
    return Reading(number[inputs], numbered(reading.segments[is_kept][:, None]), tuple(arrivals))
