"""Sums of strengths over clusters, by compiled loops over a graph's strengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled, unsigned
from clusterability.graph.packed import PackedGraph
from clusterability.graph.sparse import SparseGraph


def sum_to_clusters(
    packed: PackedGraph | SparseGraph, labels: NDArray[np.int32], n_clusters: int
) -> NDArray[np.float64]:
    """Return the sum of strengths from each neuron to each cluster, (n_clusters, n_neurons)."""
    sums: NDArray[np.float64]
    if isinstance(packed, SparseGraph):
        rows = (packed.first, packed.neighbors, packed.strengths)
        sums = _strengths_to_clusters_without_zeros(*rows, labels, n_clusters)
    else:
        sums = _strengths_to_clusters(packed.strengths, packed.table, labels, n_clusters)
    return sums


def volumes_and_inside(
    to_clusters: NDArray[np.float64], degrees: NDArray[np.float64], labels: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what :func:`cluster_sums` does, from what :func:`sum_to_clusters` returned."""
    sums: tuple[NDArray[np.float64], NDArray[np.float64]]
    sums = _volumes_and_inside(to_clusters, degrees, labels)
    return sums


def cluster_sums(
    packed: PackedGraph | SparseGraph,
    degrees: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_clusters: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each cluster's volume, and twice the strength inside it."""
    sums: tuple[NDArray[np.float64], NDArray[np.float64]]
    if isinstance(packed, SparseGraph):
        sums = volumes_and_inside(sum_to_clusters(packed, labels, n_clusters), degrees, labels)
    else:
        sums = _inside(packed.strengths, packed.table, degrees, labels, n_clusters)
    return sums


@compiled()
def _strengths_to_clusters(strengths, table, labels, n_clusters):  # type: ignore[no-untyped-def]
    """Return what :func:`sum_to_clusters` does, from the blocks."""
    to_clusters = np.zeros((n_clusters, labels.size))
    # Four sums a cluster, so that additions to one label need not wait for each other; the last
    # place is for isolated neurons.
    sums, places = np.empty((4, n_clusters + 1)), np.empty(labels.size, np.uint32)
    for i in range(labels.size):
        places[i] = labels[i] if labels[i] >= 0 else n_clusters
    for block in range(table.shape[0]):
        s_first, s_count, t_first, t_count, position = table[block]
        others = places[t_first : t_first + t_count]
        for s in range(s_first, s_first + s_count):
            row = strengths[position : position + t_count]
            position += t_count
            sums[:] = 0.0
            whole = t_count - t_count % 4
            for t in range(0, whole, 4):
                sums[0, unsigned(others[t])] += row[t]
                sums[1, unsigned(others[t + 1])] += row[t + 1]
                sums[2, unsigned(others[t + 2])] += row[t + 2]
                sums[3, unsigned(others[t + 3])] += row[t + 3]
            for t in range(whole, t_count):
                sums[0, unsigned(others[t])] += row[t]
            for c in range(n_clusters):
                to_clusters[c, s] += (sums[0, c] + sums[1, c]) + (sums[2, c] + sums[3, c])
            if labels[s] >= 0:
                into = to_clusters[labels[s], t_first : t_first + t_count]
                for t in range(t_count):
                    into[t] += row[t]
    return to_clusters


@compiled()
def _strengths_to_clusters_without_zeros(  # type: ignore[no-untyped-def]
    first, neighbors, strengths, labels, n_clusters
):
    """Return the same as :func:`_strengths_to_clusters`, from rows without zeros."""
    to_clusters = np.zeros((n_clusters, labels.size))
    for i in range(labels.size):
        for p in range(unsigned(first[i]), unsigned(first[i + 1])):
            cluster = labels[unsigned(neighbors[p])]
            if cluster >= 0:
                to_clusters[unsigned(cluster), i] += strengths[p]
    return to_clusters


@compiled()
def _volumes_and_inside(to_clusters, degrees, labels):  # type: ignore[no-untyped-def]
    volumes, inside = np.zeros(to_clusters.shape[0]), np.zeros(to_clusters.shape[0])
    for i in range(labels.size):
        if labels[i] >= 0:
            volumes[labels[i]] += degrees[i]
            inside[labels[i]] += to_clusters[labels[i], i]
    return volumes, inside


@compiled(reorder=True)
def _inside(strengths, table, degrees, labels, n_clusters):  # type: ignore[no-untyped-def]
    """Return the same as :func:`volumes_and_inside`, from the strengths in one pass."""
    volumes, inside = np.zeros(n_clusters), np.zeros(n_clusters)
    for i in range(labels.size):
        if labels[i] >= 0:
            volumes[labels[i]] += degrees[i]
    for block in range(table.shape[0]):
        s_first, s_count, t_first, t_count, position = table[block]
        others = labels[t_first : t_first + t_count]
        for s in range(s_first, s_first + s_count):
            row = strengths[position : position + t_count]
            position += t_count
            if labels[s] < 0:
                continue
            own, total = labels[s], 0.0
            for t in range(t_count):
                if others[t] == own:
                    total += float(row[t])
            inside[own] += 2.0 * total
    return volumes, inside
