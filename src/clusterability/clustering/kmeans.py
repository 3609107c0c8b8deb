"""k-means of the embedded neurons from many starts, a step of Algorithm 1.

The module has scikit-learn's greedy k-means++ seeding (Arthur and Vassilvitskii 2007, with 2 + ln k
candidates a center) and Lloyd's iteration, but each start runs until no neuron changes its cluster.
scikit-learn's ``KMeans`` finds nearest centers by a matrix product in several threads. Here points
lie in tiles, coordinate by coordinate, and loops over a tile use vector registers in one thread, so
that shuffles run side by side. All random numbers are drawn beforehand, so that a CPU and a GPU
follow the same starts.

Points may have weights. numba compiles every function once for weights and once for None, and drops
the branches of the other case: without weights nothing is slower or rounded differently.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled

Points = NDArray[np.float32]
Labels = NDArray[np.int32]

MAX_ITERATIONS = 1000

SAME_PLACE = 1e-12
"""Squared distances up to this are rounding in float32; the largest coordinate is scaled to 1."""

SMALLEST_WEIGHT = 1e-24
"""Least share of the largest weight; smaller ones are raised to it. Times SAME_PLACE, it is still
above 0 in float32."""

_TILE = (
    128  # points a tile: one coordinate of a tile fills a few vector registers, a tile the L1 cache
)
_STEP = 4  # coordinates are padded to a multiple of it
_TILE2, _TILE3 = 2 * _TILE, 3 * _TILE


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
        points: (n, m), finite.
        starts: (n_init, n_clusters, n_candidates) uniform in [0, 1), from :func:`draw_starts`.
        weights: (n,) not negative: weight of each point in inertia, centers and seeding. Only their
            ratios matter. By default all points count alike.

    Returns:
        Labels (n,). Every cluster has a point if there are as many points.
    """
    n, m = points.shape
    scale = float(np.abs(points).max(initial=0.0)) or 1.0
    n_coordinates = max(_STEP, -(-m // _STEP) * _STEP)
    rows = np.zeros((-(-n // _TILE) * _TILE, n_coordinates), np.float32)
    rows[:n, :m] = points / scale
    by_tile = rows.reshape(-1, _TILE, n_coordinates).transpose(0, 2, 1)
    tiles = np.ascontiguousarray(by_tile).reshape(len(by_tile), -1)
    labels: Labels = _best_of_starts(rows, tiles, _scale_weights(weights, len(rows)), n, starts)
    fill_empty(labels, starts.shape[1])
    return labels


def _scale_weights(
    weights: NDArray[np.float64] | None, n_padded: int
) -> NDArray[np.float32] | None:
    """Divide weights by the largest, keep them positive, and append 0 for the padding."""
    if weights is None:
        return None
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


@compiled()
def _best_of_starts(rows, tiles, weights, n, starts):  # type: ignore[no-untyped-def]
    best_inertia, best = np.inf, np.zeros(n, np.int32)
    for start in range(starts.shape[0]):
        centers = _seed(rows, tiles, weights, n, starts[start])
        labels = _lloyd(rows, tiles, weights, n, centers)
        inertia = _inertia(rows, weights, n, labels, centers)
        if inertia < best_inertia:
            best_inertia, best = inertia, labels[:n].copy()
    return best


@compiled()
def _seed(rows, tiles, weights, n, uniforms):  # type: ignore[no-untyped-def]
    """Seed by greedy k-means++: draw points by squared distance, keep the one of least inertia.

    Squared distances are multiplied by the weights, and the first point is drawn by weight.
    """
    n_clusters, n_tries = uniforms.shape
    n_tiles = tiles.shape[0]
    centers = np.zeros((n_clusters, rows.shape[1]), np.float32)
    closest = np.full(rows.shape[0], np.float32(np.inf))
    closest[n:] = np.float32(0.0)
    trial, best = np.empty_like(closest), np.empty_like(closest)
    sums, trial_sums, best_sums = np.empty(n_tiles), np.empty(n_tiles), np.empty(n_tiles)
    if weights is None:
        chosen = min(int(uniforms[0, 0] * n), n - 1)
    else:
        sums[:] = 0.0
        for p in range(n):
            sums[p // _TILE] += weights[p]
        chosen = _draw(weights, sums, uniforms[0, 0] * sums.sum(), n)
    centers[0] = rows[chosen]
    _lower_distances(tiles, weights, rows[chosen], closest, closest, sums)
    for cluster in range(1, n_clusters):
        total, lowest = sums.sum(), np.inf
        for attempt in range(n_tries):
            candidate = _draw(closest, sums, uniforms[cluster, attempt] * total, n)
            potential = _lower_distances(
                tiles, weights, rows[candidate], closest, trial, trial_sums
            )
            if potential < lowest:
                lowest, chosen = potential, candidate
                best, trial = trial, best
                best_sums, trial_sums = trial_sums, best_sums
        centers[cluster] = rows[chosen]
        closest, best = best, closest
        sums, best_sums = best_sums, sums
    return centers


@compiled()
def _draw(closest, sums, threshold, n):  # type: ignore[no-untyped-def]
    """Return the point at which the running sum of ``closest`` passes the threshold."""
    tile = 0
    while tile < sums.size - 1 and threshold >= sums[tile]:
        threshold -= sums[tile]
        tile += 1
    point = tile * _TILE
    while point < min(n, (tile + 1) * _TILE) - 1 and threshold >= closest[point]:
        threshold -= closest[point]
        point += 1
    return point


@compiled(reorder=True)
def _lower_distances(tiles, weights, center, closest, out, sums):  # type: ignore[no-untyped-def]
    """Set out = min(closest, weight x squared distance), and its sums by tile; return the total."""
    total = 0.0
    distance = np.empty(_TILE, np.float32)
    for t in range(tiles.shape[0]):
        distance[:] = np.float32(0.0)
        for j in range(center.size):
            c = center[j]
            x = tiles[t, j * _TILE : (j + 1) * _TILE]
            for p in range(_TILE):
                distance[p] += (x[p] - c) * (x[p] - c)
        if weights is not None:
            for p in range(_TILE):
                distance[p] *= weights[t * _TILE + p]
        before, after = closest[t * _TILE : (t + 1) * _TILE], out[t * _TILE : (t + 1) * _TILE]
        tile_sum = 0.0
        for p in range(_TILE):
            value = min(before[p], distance[p])
            after[p] = value
            tile_sum += value
        sums[t] = tile_sum
        total += tile_sum
    return total


@compiled()
def _lloyd(rows, tiles, weights, n, centers):  # type: ignore[no-untyped-def]
    """Move ``centers`` until no point changes its cluster; return labels, padding included."""
    n_clusters, n_coordinates = centers.shape
    # Centers are taken in pairs; the last of an odd number is paired with one infinitely far away.
    padded = np.zeros((n_clusters + n_clusters % 2, n_coordinates), np.float32)
    half_norms = np.full(padded.shape[0], np.float32(np.inf))
    labels, nearest = np.full(rows.shape[0], np.int32(-1)), np.empty(rows.shape[0], np.int32)
    sums, sizes = np.zeros((n_clusters, n_coordinates)), np.zeros(n_clusters, np.int64)
    for _ in range(MAX_ITERATIONS):
        for c in range(n_clusters):
            padded[c] = centers[c]
            half_norms[c] = 0.5 * np.sum(centers[c] * centers[c])
        _assign(tiles, padded, half_norms, nearest)
        changed = False
        for p in range(n):
            old, new = labels[p], nearest[p]
            if old != new:
                changed = True
                _move(rows[p], sums, sizes, old, new)
                labels[p] = new
        if _fill_empty(rows, weights, n, labels, centers, sums, sizes):
            changed = True
        if not changed:
            break
        if weights is None:
            _divide(sums, sizes, centers)
        else:
            _divide(*_weighted_sums(rows, weights, n, labels, n_clusters), centers)
    return labels


@compiled()
def _divide(sums, sizes, centers):  # type: ignore[no-untyped-def]
    """Move each center to the mean of its points; the center of an empty cluster stays."""
    for c in range(sizes.size):
        if sizes[c] > 0:
            for j in range(centers.shape[1]):
                centers[c, j] = sums[c, j] / sizes[c]


@compiled()
def _weighted_sums(rows, weights, n, labels, n_clusters):  # type: ignore[no-untyped-def]
    """Return each cluster's weighted sum of points and its weight, added up anew.

    Running sums, as in :func:`_move`, keep the rounding of heavy points that have left, which would
    exceed the sum of a cluster of light points.
    """
    sums, masses = np.zeros((n_clusters, rows.shape[1])), np.zeros(n_clusters)
    for p in range(n):
        c, weight = labels[p], np.float64(weights[p])
        masses[c] += weight
        for j in range(rows.shape[1]):
            sums[c, j] += weight * rows[p, j]
    return sums, masses


@compiled()
def _move(row, sums, sizes, old, new):  # type: ignore[no-untyped-def]
    sizes[new] += 1
    for j in range(row.size):
        sums[new, j] += row[j]
    if old >= 0:
        sizes[old] -= 1
        for j in range(row.size):
            sums[old, j] -= row[j]


@compiled()
def _fill_empty(rows, weights, n, labels, centers, sums, sizes):  # type: ignore[no-untyped-def]
    """Give each empty cluster the point that adds most to the inertia, if off its center."""
    filled = False
    for empty in range(sizes.size):
        if sizes[empty] > 0:
            continue
        most, where = 0.0, -1
        for p in range(n):
            if sizes[labels[p]] > 1:
                distance = np.sum((rows[p] - centers[labels[p]]) ** 2)
                share = distance if weights is None else weights[p] * distance
                if distance > SAME_PLACE and share > most:
                    most, where = share, p
        if where >= 0:
            _move(rows[where], sums, sizes, labels[where], empty)
            labels[where] = empty
            centers[empty] = rows[where]
            filled = True
    return filled


@compiled(reorder=True)
def _assign(tiles, centers, half_norms, nearest):  # type: ignore[no-untyped-def]
    """Find each point's nearest center, by |c|^2 / 2 - x.c; two centers share a load of a point."""
    best, where = np.empty(_TILE, np.float32), np.empty(_TILE, np.int32)
    score = np.empty(2 * _TILE, np.float32)
    for t in range(tiles.shape[0]):
        best[:] = np.float32(np.inf)
        where[:] = np.int32(0)
        for c in range(0, centers.shape[0], 2):
            d = c + 1
            score[:_TILE] = half_norms[c]
            score[_TILE:] = half_norms[d]
            for j in range(0, centers.shape[1], 4):
                c0, c1, c2, c3 = (
                    centers[c, j],
                    centers[c, j + 1],
                    centers[c, j + 2],
                    centers[c, j + 3],
                )
                d0, d1, d2, d3 = (
                    centers[d, j],
                    centers[d, j + 1],
                    centers[d, j + 2],
                    centers[d, j + 3],
                )
                x = tiles[t, j * _TILE :]
                for p in range(_TILE):
                    x0, x1, x2, x3 = x[p], x[p + _TILE], x[p + _TILE2], x[p + _TILE3]
                    score[p] -= c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                    score[p + _TILE] -= d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
            first, second = np.int32(c), np.int32(d)
            for p in range(_TILE):
                low, index = best[p], where[p]
                closer = score[p] < low
                low, index = (score[p] if closer else low), (first if closer else index)
                closer = score[p + _TILE] < low
                best[p] = score[p + _TILE] if closer else low
                where[p] = second if closer else index
        for p in range(_TILE):
            nearest[t * _TILE + p] = where[p]


@compiled(reorder=True)
def _inertia(rows, weights, n, labels, centers):  # type: ignore[no-untyped-def]
    """Return the weighted sum of squared distances to the centers, added up in float64."""
    total = 0.0
    for p in range(n):
        row, center = rows[p], centers[labels[p]]
        distance = np.float32(0.0)
        for j in range(row.size):
            distance += (row[j] - center[j]) * (row[j] - center[j])
        if weights is not None:
            distance *= weights[p]
        total += float(distance)
    return total
