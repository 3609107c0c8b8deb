"""Local search on the n-cut itself.

k-means minimizes inertia in the embedding, which only approximates the n-cut. The search moves one
neuron at a time to the cluster that lowers the n-cut most, until no move lowers it. It takes a few
milliseconds and ends in a nearby minimum, so callers may give several starts.

Differs from Kernighan-Lin: neurons move singly rather than swap in pairs, and no move that raises
the n-cut is accepted. Differs from Graclus: no coarsening, and volumes are updated after each move.
Differs from Louvain's local moving, whose sweeps serve modularity and may empty clusters: here the
number of clusters stays, and a table of strengths to clusters gives the best of k moves in O(k).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterability.clustering.sums import cluster_sums, sum_to_clusters, volumes_and_inside
from clusterability.compiling import compiled, unsigned
from clusterability.graph.packed import PackedGraph, span
from clusterability.graph.sparse import SparseGraph

SMALLEST_GAIN = 1e-12
"""A move must lower the n-cut by more than this, which is above rounding."""

MAX_SWEEPS = 1000


@dataclass(frozen=True, eq=False)
class Refined:
    """The n-cut of a clustering, and the lowest n-cut that local search found.

    Attributes:
        ncut: n-cut of the given clustering.
        refined_ncut: n-cut after the search, at most ``ncut``.
        labels: (n_neurons,) int32 after the search; -1 where isolated.
    """

    ncut: float
    refined_ncut: float
    labels: NDArray[np.int32]


def refine(
    packed: PackedGraph | SparseGraph,
    degrees: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_clusters: int,
) -> Refined:
    """Lower the n-cut by single moves that never empty a cluster.

    A merge of two clusters always lowers the n-cut, so the search must not change their number.

    Args:
        packed: the graph, with its zeros or without them.
        degrees: (n_neurons,).
        labels: (n_neurons,) in 0 .. n_clusters - 1, or -1 where isolated.
        n_clusters: upper bound of the labels; clusters without neurons are left out of the n-cut.
    """
    to_clusters = sum_to_clusters(packed, labels, n_clusters)
    volumes, inside = volumes_and_inside(to_clusters, degrees, labels)
    before = _ncut(volumes, inside, 0.0)
    moved = labels.copy()
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)
    state = (degrees, moved, to_clusters, volumes, inside, sizes)
    if isinstance(packed, SparseGraph):
        _search_without_zeros(packed.first, packed.neighbors, packed.strengths, *state)
    else:
        ends = (packed.touching, packed.touching_offsets, packed.offsets)
        _search(packed.strengths, packed.table, *ends, *state)
    # Recomputed, since the running sums have gathered rounding.
    after = _ncut(*cluster_sums(packed, degrees, moved, n_clusters), 0.0)
    if after > before:
        return Refined(before, before, labels)
    return Refined(before, after, moved)


def refine_from(
    packed: PackedGraph | SparseGraph,
    degrees: NDArray[np.float64],
    starts: Sequence[NDArray[np.int32]],
    n_clusters: int,
) -> Refined:
    """Lower the n-cut of a clustering by searches from it and from others; keep the lowest.

    Args:
        packed: the graph.
        degrees: (n_neurons,).
        starts: labels as in :func:`refine`; the first are those of the clustering to refine. All
            leave out the same neurons and use the same number of clusters.
        n_clusters: as in :func:`refine`.

    Returns:
        The n-cut of the first start; the lowest n-cut found, and its labels, numbered like the
        clusters of the first start.
    """
    found = [refine(packed, degrees, labels, n_clusters) for labels in starts]
    best = min(found, key=lambda refined: refined.refined_ncut)
    labels = best.labels
    if best is not found[0]:
        labels = _renumber(labels, starts[0], degrees, n_clusters)
    return Refined(found[0].ncut, best.refined_ncut, labels)


def _renumber(
    labels: NDArray[np.int32],
    like: NDArray[np.int32],
    degrees: NDArray[np.float64],
    n_clusters: int,
) -> NDArray[np.int32]:
    """Number the clusters like those of ``like`` with which they share most volume.

    Of all pairs of a cluster and a number that are still free, the one with most volume in common
    is matched first.
    """
    alive = labels >= 0
    shared = np.zeros((n_clusters, n_clusters))
    np.add.at(shared, (labels[alive], like[alive]), degrees[alive])
    numbers = np.empty(n_clusters, labels.dtype)
    for _ in range(n_clusters):
        cluster, number = np.unravel_index(shared.argmax(), shared.shape)
        numbers[cluster] = number
        shared[cluster, :] = shared[:, number] = -1.0
    renumbered = labels.copy()
    renumbered[alive] = numbers[labels[alive]]
    return renumbered


def offset_ncut(
    packed: PackedGraph | SparseGraph,
    degrees: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_clusters: int,
    volume_offset: float,
) -> float:
    """Return sum_i W(X_i, not X_i) / (vol(X_i) + volume_offset); arguments as for :func:`refine`.

    The published numbers had an offset of 1e-8; it makes the term of a far smaller volume near 0.
    """
    volumes, inside = cluster_sums(packed, degrees, labels, n_clusters)
    ncut: float = _ncut(volumes, inside, volume_offset)
    return ncut


@compiled()
def _ncut(volumes, inside, volume_offset):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(volumes.size):
        if volumes[c] > 0:
            share = volumes[c] / (volumes[c] + volume_offset)  # exactly 1 without an offset
            total += max(0.0, 1.0 - inside[c] / volumes[c]) * share
    return total


@compiled()
def _search(  # type: ignore[no-untyped-def]
    strengths,
    table,
    touching,
    touching_offsets,
    offsets,
    degrees,
    labels,
    to_clusters,
    volumes,
    inside,
    sizes,
):
    shares, state = _shares(volumes, inside), (labels, to_clusters, volumes, inside)
    for _ in range(MAX_SWEEPS):
        moved = False
        for layer in range(offsets.size - 1):
            neuron, end = offsets[layer], offsets[layer + 1]
            while True:
                neuron, new = _next_move(neuron, end, degrees, *state, shares, sizes)
                if neuron == end:
                    break
                moved, old = True, labels[neuron]
                _account(neuron, new, degrees, *state, shares, sizes)
                for touched in touching[touching_offsets[layer] : touching_offsets[layer + 1]]:
                    _tell_neighbors(strengths, table, touched, neuron, old, new, to_clusters)
                neuron += 1
        if not moved:
            return


@compiled()
def _search_without_zeros(  # type: ignore[no-untyped-def]
    first, neighbors, strengths, degrees, labels, to_clusters, volumes, inside, sizes
):
    shares, state = _shares(volumes, inside), (labels, to_clusters, volumes, inside)
    for _ in range(MAX_SWEEPS):
        moved, neuron = False, 0
        while True:
            neuron, new = _next_move(neuron, labels.size, degrees, *state, shares, sizes)
            if neuron == labels.size:
                break
            moved, old = True, labels[neuron]
            _account(neuron, new, degrees, *state, shares, sizes)
            loss, gain = to_clusters[old], to_clusters[new]
            for p in range(unsigned(first[neuron]), unsigned(first[neuron + 1])):
                loss[unsigned(neighbors[p])] -= strengths[p]
                gain[unsigned(neighbors[p])] += strengths[p]
            neuron += 1
        if not moved:
            return


@compiled()
def _shares(volumes, inside):  # type: ignore[no-untyped-def]
    """Return the share of each cluster's volume that is inside it, 0 where it has none."""
    shares = np.zeros(volumes.size)
    for c in range(volumes.size):
        if volumes[c] > 0:
            shares[c] = inside[c] / volumes[c]
    return shares


@compiled()
def _next_move(  # type: ignore[no-untyped-def]
    neuron, end, degrees, labels, to_clusters, volumes, inside, shares, sizes
):
    """Return the first neuron from this one on whose move lowers the n-cut, and its best cluster.

    Where there is none before ``end``, it is ``end``.
    """
    for i in range(unsigned(neuron), unsigned(end)):
        old, degree = labels[i], degrees[i]
        # Where the rest of its cluster is rounding beside it, a neuron stays.
        if old < 0 or sizes[unsigned(old)] == 1 or volumes[unsigned(old)] <= degree:
            continue
        own = unsigned(old)
        without = (inside[own] - 2.0 * to_clusters[own, i]) / (volumes[own] - degree)
        best, highest = own, shares[own] - without + SMALLEST_GAIN
        for c in range(unsigned(volumes.size)):
            if c != own and volumes[c] > 0:
                joined = (inside[c] + 2.0 * to_clusters[c, i]) / (volumes[c] + degree)
                gain = joined - shares[c]
                if gain > highest:
                    best, highest = unsigned(c), gain
        if best != own:
            return np.int64(i), np.int64(best)
    return np.int64(end), np.int64(0)


@compiled()
def _account(  # type: ignore[no-untyped-def]
    neuron, new, degrees, labels, to_clusters, volumes, inside, shares, sizes
):
    """Move a neuron to another cluster; the sums of its neighbors remain to be changed."""
    old, degree = labels[neuron], degrees[neuron]
    inside[old] -= 2.0 * to_clusters[old, neuron]
    inside[new] += 2.0 * to_clusters[new, neuron]
    volumes[old] -= degree
    volumes[new] += degree
    shares[old], shares[new] = inside[old] / volumes[old], inside[new] / volumes[new]
    sizes[old] -= 1
    sizes[new] += 1
    labels[neuron] = new


@compiled()
def _tell_neighbors(  # type: ignore[no-untyped-def]
    strengths, table, end, neuron, old, new, to_clusters
):
    first, count, position, step = span(table, end, neuron)
    loss, gain = to_clusters[old, first : first + count], to_clusters[new, first : first + count]
    if step == 1:
        row = strengths[position : position + count]
        for k in range(count):
            loss[k] -= row[k]
            gain[k] += row[k]
    else:
        place = unsigned(position)
        for k in range(count):
            strength = np.float64(strengths[place])
            loss[k] -= strength
            gain[k] += strength
            place += unsigned(step)
