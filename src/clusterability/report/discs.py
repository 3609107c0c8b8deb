"""The parts of a network's drawing: discs in lanes, and the strengths between discs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterability.graph import NeuronGraph
from clusterability.report.grouping import sum_by_group

FEW_NEURONS = 48
LANE_GAP = 0.45


@dataclass(frozen=True, eq=False)
class Discs:
    """The discs of a drawing. A disc is a cluster's neurons in a layer, or one of few neurons.

    Attributes:
        of_neuron: (n_neurons,) index of each neuron's disc, -1 for an isolated neuron.
        layer, cluster: (n_discs,) index of each disc's layer and cluster.
        size: (n_discs,) number of neurons in each disc.
        y: (n_discs,) vertical position of each disc.
        lanes: (n_clusters,) vertical position of the middle of each cluster's lane.
        height: sum of the heights of all lanes; the unit is the diameter of the largest disc.
    """

    of_neuron: NDArray[np.int64]
    layer: NDArray[np.int64]
    cluster: NDArray[np.int64]
    size: NDArray[np.int64]
    y: NDArray[np.float64]
    lanes: NDArray[np.float64]
    height: float


def place_discs(graph: NeuronGraph, labels: NDArray[np.int64], n_clusters: int) -> Discs:
    """Return the discs of a graph with their positions.

    Lanes lie in the order of their clusters' mean layer.

    In a network of up to 48 connected neurons each neuron has its own disc, and the discs of one
    cluster and layer are stacked. In larger ones each cluster has one disc a layer.
    """
    layer_of = np.repeat(np.arange(len(graph.layers)), [layer.n_neurons for layer in graph.layers])
    connected = np.flatnonzero(labels >= 0)
    place = layer_of[connected] * n_clusters + labels[connected]
    if len(connected) <= FEW_NEURONS:
        kinds, members = place, np.arange(len(connected))
    else:
        kinds, members = np.unique(place, return_inverse=True)
    of_neuron = np.full(len(labels), -1, dtype=np.int64)
    of_neuron[connected] = members
    size = np.bincount(members, minlength=len(kinds))
    layer, cluster = kinds // n_clusters, kinds % n_clusters
    rank, n_stacked = _stack(kinds)
    heights = np.zeros(n_clusters)
    np.maximum.at(heights, cluster, n_stacked * np.sqrt(size / max(size.max(initial=1), 1)))
    heights += LANE_GAP
    order = np.argsort(_mean_layers(layer, cluster, size, n_clusters), kind="stable")
    lanes = np.empty(n_clusters)
    lanes[order] = np.cumsum(heights[order]) - heights[order] / 2
    y = lanes[cluster] + rank - (n_stacked - 1) / 2
    return Discs(of_neuron, layer, cluster, size, y, lanes, float(heights.sum()))


def _mean_layers(
    layer: NDArray[np.int64], cluster: NDArray[np.int64], size: NDArray[np.int64], n_clusters: int
) -> NDArray[np.float64]:
    """Return the mean index of the layers of each cluster's neurons."""
    totals = np.bincount(cluster, size * layer, n_clusters)
    return totals / np.maximum(np.bincount(cluster, size, n_clusters), 1)


def _stack(kinds: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each disc's index in the stack of its place, and the number of discs there."""
    _, inverse, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    seen = np.zeros(len(counts), dtype=np.int64)
    rank = np.zeros(len(kinds), dtype=np.int64)
    for disc, kind in enumerate(inverse.tolist()):
        rank[disc] = seen[kind]
        seen[kind] += 1
    return rank, counts[inverse]


def joined_discs(graph: NeuronGraph, discs: Discs) -> Iterator[tuple[int, int, float]]:
    """Yield each pair of connected discs, with its share of the strength between the two layers.

    For two discs of one layer, it is the share of the strength within that layer; a disc whose own
    neurons are connected makes a pair with itself.
    """
    totals: dict[tuple[int, int], NDArray[np.float64]] = {}
    first = np.searchsorted(discs.layer, np.arange(len(graph.layers) + 1))
    for block in graph.blocks:
        ends = (block.source, block.target)
        members = [discs.of_neuron[graph.offsets[i] : graph.offsets[i + 1]] for i in ends]
        rows, columns = (
            np.where(of >= 0, of - first[i], -1) for of, i in zip(members, ends, strict=True)
        )
        n_rows, n_columns = (int(first[i + 1] - first[i]) for i in ends)
        part = sum_by_group(block, rows, columns, (n_rows, n_columns))
        if block.source > block.target:
            ends, part = ends[::-1], part.T
        elif block.source == block.target:
            part = np.triu(part) + np.tril(part, -1).T
        totals[ends] = totals.get(ends, 0) + part
    for (source, target), strengths in totals.items():
        shares = strengths / max(strengths.sum(), np.finfo(float).tiny)
        for i, j in np.argwhere(shares > 0).tolist():
            yield int(first[source]) + i, int(first[target]) + j, float(shares[i, j])
