"""Compiled loops of k-means: greedy seeding, and Lloyd's iteration from every start.

Points lie in tiles, coordinate by coordinate, so that a loop over a tile's points fills vector
registers. Differs from Lloyd's iteration as it is usually written: the scores of all points against
all centers are kept, and only those of centers that moved are computed again, about half of them
over a run. Differs from Elkan's and Hamerly's
bounds, which leave out points one by one: here loops over a tile stay without branches.

numba compiles every function once for weights and once for None, and drops the branches of the
other case: without weights nothing is slower or rounded differently.
"""

from __future__ import annotations

import numpy as np

from clusterability.compiling import compiled

MAX_ITERATIONS = 1000

SAME_PLACE = 1e-12
"""Squared distances up to this are rounding in float32; the largest coordinate is scaled to 1."""

TILE = 128
"""Points a tile: one coordinate of a tile fills a few vector registers, a tile the L1 cache."""

STEP = 4
"""Coordinates are padded to a multiple of it."""

_TILE2, _TILE3 = 2 * TILE, 3 * TILE

_GROUP = 32
"""Labels that are compared at a time, to pass over points that stay in their cluster."""


@compiled()
def best_of_starts(rows, tiles, weights, n, starts):  # type: ignore[no-untyped-def]
    """Return the labels, (n,), of the start that ends with the lowest inertia.

    Args:
        rows: (n_padded, m) float32, n_padded a multiple of TILE and m of STEP; zeros after row n.
        tiles: (n_padded / TILE, m TILE), the same, one coordinate of a tile after the other.
        weights: (n_padded,) float32, zeros after n; or None.
        n: number of points.
        starts: (n_init, n_clusters, n_candidates) uniform numbers in [0, 1).
    """
    best_inertia, best = np.inf, np.zeros(n, np.int32)
    # One row of scores a center, and one that stays infinite, as of a center infinitely far away.
    scores = np.empty((tiles.shape[0], starts.shape[1] + 1, TILE), np.float32)
    for start in range(starts.shape[0]):
        centers = _seed(rows, tiles, weights, n, starts[start])
        labels = _lloyd(rows, tiles, weights, n, centers, scores)
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
            sums[p // TILE] += weights[p]
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
    point = tile * TILE
    while point < min(n, (tile + 1) * TILE) - 1 and threshold >= closest[point]:
        threshold -= closest[point]
        point += 1
    return point


@compiled(reorder=True)
def _lower_distances(tiles, weights, center, closest, out, sums):  # type: ignore[no-untyped-def]
    """Set out = min(closest, weight x squared distance), and its sums by tile; return the total."""
    total = 0.0
    distance = np.empty(TILE, np.float32)
    for t in range(tiles.shape[0]):
        distance[:] = np.float32(0.0)
        for j in range(0, center.size, 4):
            c0, c1, c2, c3 = center[j], center[j + 1], center[j + 2], center[j + 3]
            x = tiles[t, j * TILE :]
            for p in range(TILE):
                x0, x1, x2, x3 = x[p], x[p + TILE], x[p + _TILE2], x[p + _TILE3]
                y0, y1, y2, y3 = x0 - c0, x1 - c1, x2 - c2, x3 - c3
                distance[p] += y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3
        if weights is not None:
            for p in range(TILE):
                distance[p] *= weights[t * TILE + p]
        before, after = closest[t * TILE : (t + 1) * TILE], out[t * TILE : (t + 1) * TILE]
        tile_sum = 0.0
        for p in range(TILE):
            value = min(before[p], distance[p])
            after[p] = value
            tile_sum += value
        sums[t] = tile_sum
        total += tile_sum
    return total


@compiled()
def _lloyd(rows, tiles, weights, n, centers, scores):  # type: ignore[no-untyped-def]
    """Move ``centers`` until no point changes its cluster; return labels, padding included.

    ``scores`` is (n_tiles, n_clusters + 1, TILE), and is overwritten.
    """
    n_clusters, n_coordinates = centers.shape
    labels, nearest = np.full(rows.shape[0], np.int32(-1)), np.empty(rows.shape[0], np.int32)
    sums, sizes = np.zeros((n_clusters, n_coordinates)), np.zeros(n_clusters, np.int64)
    # The last center is infinitely far away: centers are taken in pairs, and it completes a pair.
    padded = np.zeros((n_clusters + 1, n_coordinates), np.float32)
    half_norms = np.full(n_clusters + 1, np.float32(np.inf))
    scores[:, n_clusters] = np.float32(np.inf)
    changed = np.ones(n_clusters, np.bool_)  # clusters whose points are others than before
    for _ in range(MAX_ITERATIONS):
        for c in range(n_clusters):
            padded[c] = centers[c]
            half_norms[c] = 0.5 * np.sum(centers[c] * centers[c])
        _assign(tiles, padded, half_norms, _in_pairs(changed), scores, nearest)
        changed[:] = False
        _relabel(rows, n, nearest, labels, sums, sizes, changed)
        if sizes.min() == 0 and _fill_empty(rows, weights, n, labels, centers, sums, sizes):
            changed[:] = True
        if not changed.any():
            break
        if weights is None:
            _divide(sums, sizes, changed, centers)
        else:
            _divide(*_weighted_sums(rows, weights, n, labels, changed), changed, centers)
    return labels


@compiled()
def _in_pairs(changed):  # type: ignore[no-untyped-def]
    """Return the changed clusters; behind an odd number of them the number of all clusters."""
    chosen = np.flatnonzero(changed)
    if chosen.size % 2 == 0:
        return chosen
    return np.append(chosen, changed.size)


@compiled(reorder=True)
def _assign(tiles, centers, half_norms, chosen, scores, nearest):  # type: ignore[no-untyped-def]
    """Find each point's nearest center by its score, |c|^2 / 2 - x.c, once chosen ones are renewed.

    Two centers share a load of a point. Scores are computed in an array of their own: the compiler
    then knows that it does not overlap the points, and uses vector registers.
    """
    lowest, where = np.empty(TILE, np.float32), np.empty(TILE, np.int32)
    score = np.empty(2 * TILE, np.float32)
    for t in range(tiles.shape[0]):
        for a in range(0, chosen.size, 2):
            c, d = chosen[a], chosen[a + 1]
            for p in range(TILE):
                score[p], score[p + TILE] = half_norms[c], half_norms[d]
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
                x = tiles[t, j * TILE :]
                for p in range(TILE):
                    x0, x1, x2, x3 = x[p], x[p + TILE], x[p + _TILE2], x[p + _TILE3]
                    score[p] -= c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                    score[p + TILE] -= d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
            first, second = scores[t, c], scores[t, d]
            for p in range(TILE):
                first[p] = score[p]
            for p in range(TILE):
                second[p] = score[p + TILE]
        _find_lowest(scores[t], lowest, where)
        for p in range(TILE):
            nearest[t * TILE + p] = where[p]


@compiled()
def _find_lowest(scores, lowest, where):  # type: ignore[no-untyped-def]
    """Find the lowest score of each point of a tile; of equal ones the first counts."""
    for p in range(TILE):
        lowest[p], where[p] = np.float32(np.inf), np.int32(0)
    for c in range(0, scores.shape[0] - 1, 2):
        first, second = scores[c], scores[c + 1]
        index, next_index = np.int32(c), np.int32(c + 1)
        for p in range(TILE):
            low, best = lowest[p], where[p]
            lower = first[p] < low
            low, best = (first[p] if lower else low), (index if lower else best)
            lower = second[p] < low
            lowest[p] = second[p] if lower else low
            where[p] = next_index if lower else best


@compiled()
def _relabel(rows, n, nearest, labels, sums, sizes, changed):  # type: ignore[no-untyped-def]
    """Move points to their nearest centers' clusters, and mark the clusters that this changes."""
    for group in range(0, rows.shape[0], _GROUP):
        if not _differ(labels[group : group + _GROUP], nearest[group : group + _GROUP]):
            continue
        for p in range(group, min(n, group + _GROUP)):
            old, new = labels[p], nearest[p]
            if old != new:
                _move(rows[p], sums, sizes, old, new)
                labels[p] = new
                changed[new] = True
                if old >= 0:
                    changed[old] = True


@compiled()
def _differ(labels, others):  # type: ignore[no-untyped-def]
    difference = np.int32(0)
    for p in range(_GROUP):
        difference |= labels[p] ^ others[p]
    return difference != 0


@compiled()
def _divide(sums, sizes, changed, centers):  # type: ignore[no-untyped-def]
    """Move changed clusters' centers to the mean of their points; that of an empty one stays."""
    for c in range(sizes.size):
        if changed[c] and sizes[c] > 0:
            for j in range(centers.shape[1]):
                centers[c, j] = sums[c, j] / sizes[c]


@compiled()
def _weighted_sums(rows, weights, n, labels, changed):  # type: ignore[no-untyped-def]
    """Return changed clusters' weighted sums of points and their weights, added up anew.

    Running sums, as in :func:`_move`, keep the rounding of heavy points that have left, which would
    exceed the sum of a cluster of light points.
    """
    sums, masses = np.zeros((changed.size, rows.shape[1])), np.zeros(changed.size)
    for p in range(n):
        c, weight = labels[p], np.float64(weights[p])
        if changed[c]:
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
