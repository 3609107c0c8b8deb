"""Which neurons of an output make layers, from what arrives where; for the naive twins."""

from __future__ import annotations

from collections.abc import Collection, Sequence

Arriving = frozenset[tuple[int, int]]
"""(operation, output) of everything that arrives at a neuron."""


def new_neurons(
    output: Sequence[Arriving], segments: Sequence[Sequence[int]], read: Collection[Arriving]
) -> list[int]:
    """Return the neurons of an output that are in its layers, ascending.

    A segment is left out if each of its neurons is also one that a weight operation reads, with
    whatever else. Where the same arrives at several neurons, the first counts.

    Args:
        output: what arrives at each neuron of the output.
        segments: neurons of each segment.
        read: what arrives at each neuron of each operation.
    """
    kept: list[int] = []
    for segment in segments:
        if not all(any(output[neuron] <= arriving for arriving in read) for neuron in segment):
            kept += [n for n in segment if output.index(output[n]) == n]
    return sorted(kept)
