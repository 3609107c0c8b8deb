"""A graph by its non-zero strengths alone, for networks that are pruned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled, unsigned
from clusterability.graph.graph import NeuronGraph
from clusterability.graph.packed import pack
from clusterability.vectors import WORD, count_bits, lowest_bit, not_zero

SPARSE = 0.3
"""Graphs with at most this share of non-zero strengths count as sparse. On a processor with AVX2,
random strengths of this density in the shapes of the paper's MLP and of VGG-16 took 0.90 and 0.82
of the time that whole blocks take to be shuffled and embedded; at 0.1 it was 0.56 and 0.29, at 0.4
1.12 and 0.91."""


@dataclass(frozen=True, eq=False)
class SparseGraph:
    """The rows of one graph's adjacency matrix without their zeros.

    Attributes:
        first: (n_neurons + 1,) index of each neuron's first neighbor, and the number of all.
        neighbors: (2 n_edges,) int32, neuron after neuron.
        strengths: (2 n_edges,) float32.
    """

    first: NDArray[np.int64]
    neighbors: NDArray[np.int32]
    strengths: NDArray[np.float32]

    def degrees(self) -> NDArray[np.float64]:
        """Return the sum of each neuron's strengths, (n_neurons,)."""
        degrees = np.empty(self.first.size - 1)
        _add_rows(self.first, self.strengths, degrees)
        return degrees


def without_zeros(graph: NeuronGraph, largest_share: float = SPARSE) -> SparseGraph | None:
    """Return one graph on the CPU by its non-zero strengths; None if they are a larger share.

    >>> from clusterability import toy
    >>> without_zeros(toy.path()) is None
    True
    """
    packed = pack(graph)
    first = np.zeros(int(packed.offsets[-1]) + 1, np.int64)
    _count(packed.strengths, packed.table, first[1:])
    np.cumsum(first, out=first)
    if first[-1] > 2 * largest_share * packed.strengths.size:
        return None
    neighbors, strengths = np.empty(first[-1], np.int32), np.empty(first[-1], np.float32)
    _fill(packed.strengths, packed.table, first[:-1].copy(), neighbors, strengths)
    return SparseGraph(first, neighbors, strengths)


@compiled(reorder=True)
def _add_rows(first, strengths, degrees):  # type: ignore[no-untyped-def]
    for i in range(degrees.size):
        total = 0.0
        for p in range(unsigned(first[i]), unsigned(first[i + 1])):
            total += float(strengths[p])
        degrees[i] = total


@compiled()
def _count(strengths, table, counts):  # type: ignore[no-untyped-def]
    """Count the neighbors of each neuron."""
    for block in range(table.shape[0]):
        s_first, s_count, t_first, t_count, position = table[block]
        of_targets = counts[t_first : t_first + t_count]
        for s in range(s_first, s_first + s_count):
            row, n_edges = strengths[position : position + t_count], 0
            position += t_count
            for t in range(t_count):
                n_edges += row[t] != 0
                of_targets[t] += row[t] != 0
            counts[s] += n_edges


@compiled()
def _fill(strengths, table, places, neighbors, into):  # type: ignore[no-untyped-def]
    """Write neighbors and strengths of each neuron from its place on."""
    one = unsigned(1)
    for block in range(table.shape[0]):
        s_first, s_count, t_first, t_count, position = table[block]
        for s in range(unsigned(s_first), unsigned(s_first + s_count)):
            place = unsigned(places[s])
            for first in range(0, t_count, WORD):
                bits = which_not_zero(strengths, position + first, position + t_count)
                for _ in range(count_bits(bits)):
                    behind = unsigned(first) + lowest_bit(bits)
                    t, strength = unsigned(t_first) + behind, strengths[unsigned(position) + behind]
                    neighbors[place], into[place] = t, strength
                    place += one
                    of_target = unsigned(places[t])
                    neighbors[of_target], into[of_target] = s, strength
                    places[t] += 1
                    bits &= bits - one
            places[s] = place
            position += t_count


@compiled()
def which_not_zero(values, first, end):  # type: ignore[no-untyped-def]
    """Return which of values[first : end], of WORD at most, are not 0; the first is bit 0."""
    if first + WORD <= end:
        return not_zero(values, first)
    bits = np.uint64(0)
    for p in range(first, end):
        bits |= np.uint64(values[p] != 0) << np.uint64(p - first)
    return bits
