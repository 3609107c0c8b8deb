"""Compiled loops of k-means: greedy seeding, and Lloyd's iteration from every start.

Points lie in tiles, coordinate by coordinate, so that one coordinate of several points is a vector.
Differs from Lloyd's iteration as it is usually written: the scores of all points against all
centers are kept, and only those of centers that moved are computed again, about half of them over a
run. Differs from Elkan's and Hamerly's bounds, which leave out points one by one: here loops over a
tile stay without branches.

Points without weights have weights of 1, and ``is_weighted`` is false: products with 1 round
nothing, and centers come from running sums. Numba compiles every function anew for each combination
of its arguments' types, of which a literal number is one, and every array expression with checks:
whoever uses the package for the first time waits a second for each. So functions that take long to
compile have one combination, and loops have scalars.
"""

from __future__ import annotations

import numpy as np

from clusterability.compiling import compiled, unsigned
from clusterability.vectors import (
    WIDTH,
    in_float64,
    load,
    load_spread,
    spread,
    store,
    total,
    where_lower,
)

MAX_ITERATIONS = 1000

SAME_PLACE = 1e-12
"""Squared distances up to this are rounding in float32; the largest coordinate is scaled to 1."""

TILE = 128
"""Points a tile: one coordinate of a tile fills a few vector registers, a tile the L1 cache."""

STEP = 4
"""Coordinates are padded to a multiple of it."""

_GROUP = 32
"""Labels that are compared at a time, to pass over points that stay in their cluster."""


@compiled()
def best_of_starts(rows, tiles, weights, is_weighted, n, starts):  # type: ignore[no-untyped-def]
    """Return the labels, (n,), of the start that ends with the lowest inertia.

    Args:
        rows: (n_padded, w) float32, n_padded a multiple of TILE and w of WIDTH; zeros after row n
            and in the columns behind the coordinates.
        tiles: (n_padded / TILE, m TILE), the same, one coordinate of a tile after the other; m is a
            multiple of STEP.
        weights: (n_padded,) float32, zeros after n.
        is_weighted: false where all weights are 1.
        n: number of points.
        starts: (n_init, n_clusters, n_candidates) uniform numbers in [0, 1).
    """
    best_inertia, best = np.inf, np.zeros(n, np.int32)
    # One row of scores a center, and one that stays infinite, as of a center infinitely far away.
    scores = np.empty((tiles.shape[0], starts.shape[1] + 1, TILE), np.float32)
    for start in range(starts.shape[0]):
        centers = _seed(rows, tiles, weights, n, starts[start])
        labels = _lloyd(rows, tiles, weights, is_weighted, n, centers, scores)
        inertia = _inertia(rows, weights, n, labels, centers)
        if inertia < best_inertia:
            best_inertia, best = inertia, labels[:n].copy()
    return best


@compiled()
def _seed(rows, tiles, weights, n, uniforms):  # type: ignore[no-untyped-def]
    """Seed by greedy k-means++: draw points by squared distance, keep the one of least inertia.

    Squared distances are multiplied by the weights, and the first point is drawn by weight.
    """
    (n_clusters, n_tries), n_coordinates = uniforms.shape, tiles.shape[1] // TILE
    centers = np.zeros((n_clusters, n_coordinates), np.float32)
    # Distances to the nearest center so far stand in the current row, those with a candidate in the
    # others.
    current = n_tries
    distances = np.full((n_tries + 1, rows.shape[0]), np.float32(np.inf))
    distances[current, n:] = np.float32(0.0)
    sums = np.zeros((n_tries + 1, tiles.shape[0]))
    for p in range(n):
        sums[current, p // TILE] += weights[p]
    chosen = _draw(weights, sums[current], uniforms[0, 0] * sums[current].sum(), n)
    candidates, drawn = np.empty(n_tries, np.int64), np.empty((n_tries, n_coordinates), np.float32)
    _copy(rows, chosen, centers, 0)
    _copy(rows, chosen, drawn, 0)
    _lower_distances(tiles, weights, drawn[:1], distances, current, sums)
    current = 0
    for cluster in range(1, n_clusters):
        total = sums[current].sum()
        for attempt in range(n_tries):
            threshold = uniforms[cluster, attempt] * total
            candidates[attempt] = _draw(distances[current], sums[current], threshold, n)
        for attempt in range(n_tries):
            _copy(rows, candidates[attempt], drawn, attempt)
        _lower_distances(tiles, weights, drawn, distances, current, sums)
        best = -1
        for attempt in range(n_tries):
            place = attempt + (attempt >= current)
            if best < 0 or sums[place].sum() < sums[best].sum():
                best, chosen = place, candidates[attempt]
        _copy(rows, chosen, centers, cluster)
        current = best
    return centers


@compiled()
def _copy(rows, row, others, other):  # type: ignore[no-untyped-def]
    """Copy a row, as far as the other is long. Assigned as a whole it would take seconds longer to
    compile."""
    for j in range(others.shape[1]):
        others[other, j] = rows[row, j]


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


@compiled()
def _lower_distances(tiles, weights, candidates, distances, current, sums):  # type: ignore[no-untyped-def]
    """Set min(current row, weight x squared distance) for each candidate, and its sums by tile.

    ``distances`` is (n_candidates + 1, n_padded), ``sums`` (n_candidates + 1, n_tiles); candidates
    take the rows before and after the current one. Two share a load of a point; an odd number of
    candidates ends with one that is paired with itself.
    """
    points, centers, lowest = tiles.reshape(-1), candidates.reshape(-1), distances.reshape(-1)
    last, n_coordinates = candidates.shape
    last, n_padded = last - 1, distances.shape[1]
    for t in range(tiles.shape[0]):
        for first in range(0, last + 1, 2):
            second = min(first + 1, last)
            c, d = first * n_coordinates, second * n_coordinates
            place, next_place = first + (first >= current), second + (second >= current)
            c_sum, d_sum = spread(0.0), spread(0.0)
            for p in range(t * TILE, (t + 1) * TILE, WIDTH):
                x = t * TILE * (n_coordinates - 1) + p
                to_c, to_d = spread(np.float32(0.0)), spread(np.float32(0.0))
                for j in range(0, n_coordinates, STEP):
                    x0, x1 = load(points, x + j * TILE), load(points, x + (j + 1) * TILE)
                    x2, x3 = load(points, x + (j + 2) * TILE), load(points, x + (j + 3) * TILE)
                    to_c = to_c + _squared(x0, x1, x2, x3, centers, c + j)
                    to_d = to_d + _squared(x0, x1, x2, x3, centers, d + j)
                weight = load(weights, p)
                to_c, to_d = to_c * weight, to_d * weight
                before = load(lowest, current * n_padded + p)
                to_c = where_lower(to_c, before, to_c, before)
                to_d = where_lower(to_d, before, to_d, before)
                store(lowest, place * n_padded + p, to_c)
                store(lowest, next_place * n_padded + p, to_d)
                c_sum, d_sum = c_sum + in_float64(to_c), d_sum + in_float64(to_d)
            sums[place, t], sums[next_place, t] = total(c_sum), total(d_sum)


@compiled()
def _squared(x0, x1, x2, x3, centers, c):  # type: ignore[no-untyped-def]
    """Return the part of a squared distance that four coordinates make."""
    y0, y1 = x0 - load_spread(centers, c), x1 - load_spread(centers, c + 1)
    y2, y3 = x2 - load_spread(centers, c + 2), x3 - load_spread(centers, c + 3)
    return y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3


@compiled()
def _lloyd(rows, tiles, weights, is_weighted, n, centers, scores):  # type: ignore[no-untyped-def]
    """Move ``centers`` until no point changes its cluster; return labels, padding included.

    ``scores`` is (n_tiles, n_clusters + 1, TILE), and is overwritten.
    """
    n_clusters, n_coordinates = centers.shape
    labels, nearest = np.full(rows.shape[0], np.int32(-1)), np.empty(rows.shape[0], np.int32)
    sums, sizes = np.zeros((n_clusters, rows.shape[1])), np.zeros(n_clusters, np.int64)
    # The last center is infinitely far away: centers are taken in pairs, and it completes a pair.
    padded = np.zeros((n_clusters + 1, n_coordinates), np.float32)
    half_norms = np.full(n_clusters + 1, np.float32(np.inf))
    changed = np.ones(n_clusters, np.bool_)  # clusters whose points are others than before
    for _ in range(MAX_ITERATIONS):
        for c in range(n_clusters):
            norm = np.float32(0.0)
            for j in range(n_coordinates):
                padded[c, j] = centers[c, j]
                norm += centers[c, j] * centers[c, j]
            half_norms[c] = np.float32(0.5) * norm
        _assign(tiles, padded, half_norms, _in_pairs(changed), scores, nearest)
        changed[:] = False
        _relabel(rows, n, nearest, labels, sums, sizes, changed)
        if sizes.min() == 0:
            _fill_empty(rows, weights, n, nearest, labels, centers, sums, sizes, changed)
        if not changed.any():
            break
        if is_weighted:
            _divide(*_weighted_sums(rows, weights, n, labels, n_clusters), changed, centers)
        else:
            _divide(sums, sizes.astype(np.float64), changed, centers)
    return labels


@compiled()
def _in_pairs(changed):  # type: ignore[no-untyped-def]
    """Return the changed clusters; behind an odd number of them the number of all clusters."""
    chosen, n_chosen = np.empty(changed.size + 1, np.int64), 0
    for c in range(changed.size):
        if changed[c]:
            chosen[n_chosen] = c
            n_chosen += 1
    chosen[n_chosen] = changed.size
    return chosen[: n_chosen + n_chosen % 2]


@compiled()
def _assign(tiles, centers, half_norms, chosen, scores, nearest):  # type: ignore[no-untyped-def]
    """Find each point's nearest center by its score, |c|^2 / 2 - x.c, once chosen ones are renewed.

    Two centers share a load of a point.
    """
    points, flat_centers = tiles.reshape(-1), centers.reshape(-1)
    flat_scores, n_coordinates = scores.reshape(-1), centers.shape[1]
    for t in range(tiles.shape[0]):
        of_tile = t * scores.shape[1]
        for a in range(0, chosen.size, 2):
            c, d = chosen[a], chosen[a + 1]
            for p in range(0, TILE, 2 * WIDTH):
                x = t * TILE * n_coordinates + p
                c_score, d_score = load_spread(half_norms, c), load_spread(half_norms, d)
                c_next, d_next = c_score, d_score
                for j in range(0, n_coordinates, STEP):
                    of_c, of_d, y = c * n_coordinates + j, d * n_coordinates + j, x + WIDTH
                    x0, x1 = load(points, x + j * TILE), load(points, x + (j + 1) * TILE)
                    x2, x3 = load(points, x + (j + 2) * TILE), load(points, x + (j + 3) * TILE)
                    y0, y1 = load(points, y + j * TILE), load(points, y + (j + 1) * TILE)
                    y2, y3 = load(points, y + (j + 2) * TILE), load(points, y + (j + 3) * TILE)
                    c_score = c_score - _product(x0, x1, x2, x3, flat_centers, of_c)
                    d_score = d_score - _product(x0, x1, x2, x3, flat_centers, of_d)
                    c_next = c_next - _product(y0, y1, y2, y3, flat_centers, of_c)
                    d_next = d_next - _product(y0, y1, y2, y3, flat_centers, of_d)
                to_c, to_d = (of_tile + c) * TILE + p, (of_tile + d) * TILE + p
                store(flat_scores, to_c, c_score)
                store(flat_scores, to_c + WIDTH, c_next)
                store(flat_scores, to_d, d_score)
                store(flat_scores, to_d + WIDTH, d_next)
        for p in range(0, TILE, WIDTH):
            lowest, where = spread(np.float32(np.inf)), spread(np.int32(0))
            for c in range(centers.shape[0] - 1):
                score = load(flat_scores, (of_tile + c) * TILE + p)
                where = where_lower(score, lowest, spread(np.int32(c)), where)
                lowest = where_lower(score, lowest, score, lowest)
            store(nearest, t * TILE + p, where)


@compiled()
def _product(x0, x1, x2, x3, centers, c):  # type: ignore[no-untyped-def]
    """Return the part of a product of points with a center that four coordinates make."""
    first = x0 * load_spread(centers, c) + x1 * load_spread(centers, c + 1)
    return first + x2 * load_spread(centers, c + 2) + x3 * load_spread(centers, c + 3)


@compiled()
def _relabel(rows, n, nearest, labels, sums, sizes, changed):  # type: ignore[no-untyped-def]
    """Move points to their nearest centers' clusters, and mark the clusters that this changes."""
    for group in range(0, rows.shape[0], _GROUP):
        difference = np.int32(0)
        for p in range(group, group + _GROUP):
            difference |= labels[p] ^ nearest[p]
        if difference != 0:
            last = min(n, group + _GROUP)
            _move(rows, group, last, nearest, labels, sums, sizes, changed)


@compiled()
def _move(rows, first, end, nearest, labels, sums, sizes, changed):  # type: ignore[no-untyped-def]
    """Move the points from ``first`` to before ``end``; one of label -1 comes from no cluster."""
    flat, flat_sums, width = rows.reshape(-1), sums.reshape(-1), rows.shape[1]
    for p in range(first, end):
        old, new = np.int64(labels[p]), np.int64(nearest[p])
        if old == new:
            continue
        for j in range(0, width, WIDTH):
            row = in_float64(load(flat, p * width + j))
            store(flat_sums, new * width + j, load(flat_sums, new * width + j) + row)
            if old >= 0:
                store(flat_sums, old * width + j, load(flat_sums, old * width + j) - row)
        labels[p] = new
        sizes[unsigned(new)] += 1
        changed[unsigned(new)] = True
        if old >= 0:
            sizes[unsigned(old)] -= 1
            changed[unsigned(old)] = True


@compiled()
def _divide(sums, masses, changed, centers):  # type: ignore[no-untyped-def]
    """Move changed clusters' centers to the mean of their points; that of an empty one stays."""
    for c in range(masses.size):
        if changed[c] and masses[c] > 0:
            for j in range(centers.shape[1]):
                centers[c, j] = sums[c, j] / masses[c]


@compiled()
def _weighted_sums(rows, weights, n, labels, n_clusters):  # type: ignore[no-untyped-def]
    """Return the clusters' weighted sums of points and their weights, added up anew.

    Running sums, as in :func:`_move`, keep the rounding of heavy points that have left, which would
    exceed the sum of a cluster of light points.
    """
    sums, masses = np.zeros((n_clusters, rows.shape[1])), np.zeros(n_clusters)
    flat, flat_sums, width = rows.reshape(-1), sums.reshape(-1), rows.shape[1]
    for p in range(n):
        c, weight = np.int64(labels[p]), np.float64(weights[p])
        masses[unsigned(c)] += weight
        for j in range(0, width, WIDTH):
            row = in_float64(load(flat, p * width + j))
            # The product of two float32 is exact in float64.
            more = load(flat_sums, c * width + j) + row * spread(weight)
            store(flat_sums, c * width + j, more)
    return sums, masses


@compiled()
def _fill_empty(  # type: ignore[no-untyped-def]
    rows, weights, n, nearest, labels, centers, sums, sizes, changed
):
    """Give each empty cluster the point that adds most to the inertia, if off its center.

    All clusters then count as changed.
    """
    for empty in range(sizes.size):
        if sizes[empty] > 0:
            continue
        most, where = 0.0, n
        for p in range(n):
            if sizes[labels[p]] > 1:
                distance = _squared_distance(rows, p, centers, labels[p])
                share = weights[p] * distance
                if distance > SAME_PLACE and share > most:
                    most, where = share, p
        if where < n:
            nearest[where] = empty
            _move(rows, where, where + 1, nearest, labels, sums, sizes, changed)
            _copy(rows, where, centers, empty)
            changed[:] = True


@compiled()
def _squared_distance(rows, row, others, other):  # type: ignore[no-untyped-def]
    """Return the squared distance of two rows, added up in float64."""
    distance = 0.0
    for j in range(others.shape[1]):
        difference = np.float64(rows[row, j] - others[other, j])
        distance += difference * difference
    return distance


@compiled(reorder=True)
def _inertia(rows, weights, n, labels, centers):  # type: ignore[no-untyped-def]
    """Return the weighted sum of squared distances to the centers, added up in float64."""
    total = 0.0
    for p in range(n):
        row, center = rows[p], centers[labels[p]]
        distance = np.float32(0.0)
        for j in range(center.size):
            distance += (row[j] - center[j]) * (row[j] - center[j])
        total += float(distance * weights[p])
    return total
