"""k-means of the embedded neurons from many starts, a step of Algorithm 1.

The module has scikit-learn's greedy k-means++ seeding (Arthur and Vassilvitskii 2007, with 2 + ln k
candidates a center) and Lloyd's iteration, but each start runs until no neuron changes its cluster.
scikit-learn's ``KMeans`` finds nearest centers by a matrix product in several threads. Here points
lie in tiles, coordinate by coordinate, and loops over a tile use vector registers in one thread, so
that shuffles run side by side. All random numbers are drawn beforehand, so that a CPU and a GPU
follow the same starts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clusterability.clustering.kmeans_loops import STEP, TILE, best_of_starts
from clusterability.vectors import WIDTH

Points = NDArray[np.float32]
Labels = NDArray[np.int32]

SMALLEST_WEIGHT = 1e-24
"""Least share of the largest weight; smaller ones are raised to it. Times SAME_PLACE, it is still
above 0 in float32."""


def n_candidates(n_clusters: int) -> int:
    """Return the number of candidates that greedy k-means++ tries for each center."""
    return 2 + int(math.log(n_clusters))


def draw_starts(rng: np.random.Generator, n_init: int, n_clusters: int) -> NDArray[np.float64]:
    """Draw the uniform numbers of the seeding, (n_init, n_clusters, n_candidates)."""
    return rng.random((n_init, n_clusters, n_candidates(n_clusters)))


def kmeans(
    points: NDArray[np.float64],
    starts: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Labels:
    """Cluster points from every start and return the labels of the lowest inertia.

    Args:
        points: (n, m), finite; possibly none.
        starts: (n_init, n_clusters, n_candidates) uniform in [0, 1), from :func:`draw_starts`.
        weights: (n,) not negative: weight of each point in inertia, centers and seeding. Only their
            ratios matter. By default all points count alike.

    Returns:
        Labels (n,). Every cluster has a point if there are as many points.
    """
    n, m = points.shape
    if n == 0:  # of a shuffle in canonical scaling, no neuron may lie on a path
        return np.empty(0, np.int32)
    scale = float(np.abs(points).max(initial=0.0)) or 1.0
    n_coordinates = max(STEP, -(-m // STEP) * STEP)
    width = -(-n_coordinates // WIDTH) * WIDTH
    rows = np.zeros((-(-n // TILE) * TILE, width), np.float32)
    rows[:n, :m] = points / scale
    by_tile = rows.reshape(-1, TILE, width)[..., :n_coordinates].transpose(0, 2, 1)
    tiles = np.ascontiguousarray(by_tile).reshape(len(by_tile), -1)
    relative = _scale_weights(np.ones(n) if weights is None else weights, len(rows))
    labels: Labels = best_of_starts(rows, tiles, relative, weights is not None, n, starts)
    fill_empty(labels, starts.shape[1])
    return labels


def _scale_weights(weights: NDArray[np.float64], n_padded: int) -> NDArray[np.float32]:
    """Divide weights by the largest, keep them positive, and append 0 for the padding."""
    relative = np.zeros(n_padded, np.float32)
    largest = float(weights.max(initial=0.0)) or 1.0
    relative[: weights.size] = np.maximum(weights / largest, SMALLEST_WEIGHT)
    return relative


def fill_empty(labels: Labels, n_clusters: int) -> None:
    """Give each empty cluster one point of the largest cluster, in place.

    k-means leaves clusters empty where points coincide, as they do if too few eigenvalues are
    positive. With fewer clusters the n-cut would be lower for that reason alone.

    Args:
        labels: (n,); points with a negative label are in no cluster.
        n_clusters: number of clusters.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)
    for empty in np.flatnonzero(sizes == 0):
        largest = sizes.argmax()
        if sizes[largest] < 2:
            return
        labels[np.flatnonzero(labels == largest)[-1]] = empty
        sizes[largest] -= 1
        sizes[empty] = 1
