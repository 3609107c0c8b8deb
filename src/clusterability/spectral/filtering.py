"""Eigenvectors of B'B - t t' by products with the non-zero entries of B, filtered.

A round multiplies a block of vectors by a Chebyshev polynomial of the matrix, which is small on the
eigenvalues that are not wanted and grows fast beyond them, and solves the problem in their span
(Zhou, Saad, Tiago and Chelikowsky 2006). Differs from block Lanczos (:mod:`.krylov`) in that no
basis is kept: for a sparse matrix of a few hundred rows its products cost less than a basis does.
Differs from the usual filter in that known vectors, t and those that are right already, are taken
out of every product, and in that the degree is bounded by what float32 can tell apart: beyond it
only the first vectors were left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled, unsigned
from clusterability.vectors import WIDTH, load, load_spread, spread, store

TOLERANCE = 1e-6
"""A round is the last if all residual norms are below this times the largest eigenvalue. Where
1e-4 was enough, 15 of 100 n-cuts remained the same."""

MOST_ROUNDS = 16
"""Rounds after which the matrix is left to another solver. Graphs of pruned MLPs take 4 to 6."""

FIRST_PRODUCTS = 3
"""Products before anything is known about the eigenvalues."""

MOST_PRODUCTS = 30

RANGE = 1e5
"""A round amplifies the first eigenvector at most by this factor more than the last one wanted."""

CLEAR_GAP = 1e-3
"""The last wanted eigenvalue and the smallest of the block differ by more than this share, or there
may be more equal eigenvalues than the block has vectors."""

FAR_ABOVE = 1.3
"""Vectors that are right are set aside if their eigenvalue exceeds the last one wanted by this
factor: the others then have a polynomial of higher degree."""

WELL_CONDITIONED = 1e3
"""Columns are orthonormal, but for some 1e-10, after one division by a factor whose inverse has at
most this norm. The factor's diagonal alone would not tell: each column may keep a fifth of its
length without those before it, and all of them together be dependent."""

Rows = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class SparseFactor:
    """B, float32, by its rows and by its columns.

    Each is three arrays: the first entry of each row and the number of all, the places of entries,
    and entries. A place is WIDTH times an index: there the numbers of a panel begin, which is a
    block of WIDTH vectors, (n, WIDTH), lying flat.
    """

    rows: Rows
    columns: Rows

    def product(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return B @ vectors, for a multiple of WIDTH vectors."""
        images = []
        for panel in _panels(vectors):
            images.append(np.empty((self.rows[0].size - 1) * WIDTH, np.float32))
            _multiply(*self.rows, panel, images[-1])
        return _side_by_side(images)


def _panels(block: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return a block's columns, WIDTH at a time, lying flat; one panel is not copied."""
    firsts = range(0, block.shape[1], WIDTH)
    return [np.ascontiguousarray(block[:, c : c + WIDTH]).reshape(-1) for c in firsts]


def _side_by_side(panels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the block of these panels, (n, WIDTH len(panels)); one panel is not copied."""
    blocks = [panel.reshape(-1, WIDTH) for panel in panels]
    return blocks[0] if len(blocks) == 1 else np.hstack(blocks)


def largest_eigenvectors(
    factor: SparseFactor, trivial: NDArray[np.float32], start: NDArray[np.float32], n_wanted: int
) -> NDArray[np.float32] | None:
    """Compute eigenvectors of the largest eigenvalues of B'B - t t', largest first.

    Args:
        factor: B.
        trivial: (n,) t, of length 1.
        start: (n, b) random, b a multiple of WIDTH and above ``n_wanted``.
        n_wanted: number of eigenvectors.

    Returns:
        (n, n_wanted); None where the iteration does not converge, or eigenvalues repeat at the end
        of the block, or there are fewer than wanted: another solver has to decide.
    """
    found: list[NDArray[np.float32]] = []
    known, weights = trivial[None], np.ones(1, np.float32)
    image = np.empty((factor.rows[0].size - 1) * WIDTH, np.float32)
    block, products, edge = start, FIRST_PRODUCTS, 0.0
    rng = np.random.default_rng(0)
    for _ in range(MOST_ROUNDS):
        arrays = (*factor.rows, *factor.columns, known.reshape(-1), weights, image)
        basis = _basis(_filter(arrays, _without(known, block), products, edge), known)
        if basis is None:
            return None
        values, block, residuals = _rotate(arrays, basis)
        n_left = n_wanted - len(found)
        last, edge = float(values[-n_left]), _edge(edge, values)
        if last < 2 * CLEAR_GAP * edge:
            return None
        errors = residuals.astype(np.float64) / max(
            float(weights[1:].max(initial=0.0)), float(values[-1])
        )
        if errors[-n_left:].max() <= TOLERANCE:
            is_clear = values[0] < (1 - CLEAR_GAP) * last
            return np.column_stack([*found, block[:, ::-1][:, :n_left]]) if is_clear else None
        n_done = _n_finished(values, errors, last, n_left)
        if n_done:
            done = block[:, block.shape[1] - n_done :].T[::-1]
            found += [*done]
            known = np.concatenate([known, done])
            weights = np.append(weights, values[::-1][:n_done].astype(np.float32))
            fresh = rng.standard_normal((len(block), n_done), dtype=np.float32)
            block = np.column_stack([fresh / len(block) ** 0.5, block[:, :-n_done]])
            values, errors = values[:-n_done], errors[:-n_done]
        error = float(errors[n_done - n_left :].max()) if n_done < n_left else TOLERANCE
        products = _n_products(error, edge, last, float(values[-1]))
    return None


def _edge(before: float, values: NDArray[np.float64]) -> float:
    """Return the end of the interval where the next polynomial is small.

    The last eigenvalues of a block are found too low at first, and again where random vectors have
    taken the place of finished ones: so the end is the second of them, and never moves back. With
    the last one itself, pruned MLPs took a tenth more products and a quarter more rounds.
    """
    return max(before, float(values[1]), 1e-4)


def _n_finished(
    values: NDArray[np.float64], errors: NDArray[np.float64], last: float, n_left: int
) -> int:
    """Return how many of the first vectors are right and far above the last one wanted."""
    is_finished = (errors[::-1] <= TOLERANCE) & (values[::-1] > FAR_ABOVE * last)
    return int(np.argmin(is_finished[: n_left - 1])) if n_left > 1 else 0


def _without(known: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float32]:
    return block - known.T @ (known @ block)


def _basis(block: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return orthonormal columns of the span of a block; None if it is not finite or lost one."""
    lengths = np.sqrt(np.einsum("ij,ij->j", block, block))
    if not (lengths.min() > 0 and lengths.max() < np.inf):
        return None
    columns = _without(known, block / lengths)
    return _orthonormal(columns.astype(np.float64)).astype(np.float32)


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return orthonormal columns of the same span, for columns of length 1 at most.

    They are divided by the Cholesky factor of their products, and a second time for what the first
    has left where they are far from orthogonal (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015).
    For a few columns this takes half the time of a QR decomposition, which is done where they are
    too close to dependent.
    """
    basis = columns
    try:
        for _ in range(2):
            inverse = np.linalg.inv(np.linalg.cholesky(basis.T @ basis))
            basis = basis @ inverse.T
            if np.linalg.norm(inverse) <= WELL_CONDITIONED:
                return basis
    except np.linalg.LinAlgError:
        pass  # the products are not positive definite in float64
    return np.linalg.qr(columns)[0]


def _n_products(error: float, edge: float, last: float, first: float) -> int:
    """Return the degree that lowers the error to the tolerance, within the bounds."""
    # A Chebyshev polynomial of degree d grows beyond 1 as cosh(d arccosh(x)).
    rate, fastest = (math.acosh(max(1.02, 2 * value / edge - 1)) for value in (last, first))
    needed = math.ceil(math.log(error / TOLERANCE) / rate) + 1
    bound = int(math.log(RANGE) / max(1e-3, fastest - rate))
    return max(2, min(needed, bound, MOST_PRODUCTS))


def _filter(
    arrays: tuple[object, ...], block: NDArray[np.float32], n_products: int, edge: float
) -> NDArray[np.float32]:
    """Multiply by the polynomial bounded on [0, edge]; by a power of the matrix if edge is 0.

    The block may be overwritten.
    """
    half = np.float32(edge / 2)
    panels = _panels(block)
    return _side_by_side(
        [_filter_panel(*arrays, panel, np.empty_like(panel), n_products, half) for panel in panels]
    )


def _rotate(
    arrays: tuple[object, ...], basis: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Return eigenvalues in the span of a basis, ascending, eigenvectors and residual norms."""
    image = _filter(arrays, basis.copy(), 1, 0.0)
    projected = (basis.T @ image).astype(np.float64)
    values, rotation = np.linalg.eigh((projected + projected.T) / 2)
    turn = rotation.astype(np.float32)
    vectors = basis @ turn
    residuals = image @ turn - vectors * values.astype(np.float32)
    return values, vectors, np.sqrt(np.einsum("ij,ij->j", residuals, residuals))


@compiled()
def _filter_panel(  # type: ignore[no-untyped-def]
    row_first,
    row_places,
    row_entries,
    column_first,
    column_places,
    column_entries,
    known,
    weights,
    image,
    now,
    before,
    n_products,
    half,
):
    """Multiply a panel by the polynomial bounded on [0, 2 half], or by a power; return the result.

    The matrix is B'B - K; K is the sum of weight x vector vector' over known vectors, which stand
    one after the other. ``now``, the panel, and ``before`` are overwritten.
    """
    one, zero, product = np.float32(1.0), np.float32(0.0), np.empty_like(now)
    for i in range(n_products):
        of_image, of_now, of_before = one, zero, zero
        if half > zero:
            of_image, of_now, of_before = one / half, -one, zero
            if i > 0:
                of_image, of_now, of_before = of_image + of_image, of_now + of_now, -one
        _multiply(row_first, row_places, row_entries, now, image)
        _multiply(column_first, column_places, column_entries, image, product)
        for place in range(0, now.size, WIDTH):
            combined = spread(of_image) * load(product, place) + spread(of_now) * load(now, place)
            if of_before != zero:
                combined = combined + spread(of_before) * load(before, place)
            store(before, place, combined)
        _take_out(known, weights, of_image, now, before)
        before, now = now, before
    return now


@compiled()
def _take_out(known, weights, of_image, now, image):  # type: ignore[no-untyped-def]
    """Subtract of_image K now from the image."""
    size = image.size // WIDTH
    for k in range(weights.size):
        share, own = spread(np.float32(0.0)), k * size
        for i in range(size):
            share = share + load_spread(known, own + i) * load(now, i * WIDTH)
        share = share * spread(-of_image * weights[k])
        for i in range(size):
            changed = load(image, i * WIDTH) + load_spread(known, own + i) * share
            store(image, i * WIDTH, changed)


@compiled()
def _multiply(first, places, entries, panel, image):  # type: ignore[no-untyped-def]
    """Set each row of the image to the sum of the row's entries times the panel at their places.

    Two sums take turns, so that additions need not wait for each other.
    """
    for i in range(first.size - 1):
        even, odd = spread(np.float32(0.0)), spread(np.float32(0.0))
        start, end = first[i], first[i + 1]
        for p in range(start, end - 1, 2):
            place, next_place = places[unsigned(p)], places[unsigned(p + 1)]
            even = even + load_spread(entries, p) * load(panel, np.int64(place))
            odd = odd + load_spread(entries, p + 1) * load(panel, np.int64(next_place))
        if (end - start) % 2:
            place = places[unsigned(end - 1)]
            even = even + load_spread(entries, end - 1) * load(panel, np.int64(place))
        store(image, i * WIDTH, even + odd)


def sparse_factor(
    first: NDArray[np.int64],
    neighbors: NDArray[np.int32],
    strengths: NDArray[np.float32],
    scale: NDArray[np.float64],
    small: NDArray[np.int64],
    large: NDArray[np.int64],
) -> SparseFactor:
    """Return B from the rows of an adjacency matrix A, (large, small): entries of D^-1/2 A D^-1/2.

    Args:
        first, neighbors, strengths: as of :class:`clusterability.graph.sparse.SparseGraph`.
        scale: (n_neurons,) the diagonal of D^-1/2.
        small, large: neurons of the two sides.
    """
    place = np.empty(scale.size, np.uint32)
    for side in (small, large):
        place[side] = WIDTH * np.arange(side.size)
    sides = []
    for side in (large, small):
        ends = np.zeros(side.size + 1, np.int64)
        np.cumsum(first[side + 1] - first[side], out=ends[1:])
        places, entries = np.empty(ends[-1], np.uint32), np.empty(ends[-1], np.float32)
        _scale_rows(first, neighbors, strengths, scale, place, side, places, entries)
        sides.append((ends, places, entries))
    return SparseFactor(sides[0], sides[1])


@compiled()
def _scale_rows(first, neighbors, strengths, scale, place, side, places, entries):  # type: ignore[no-untyped-def]
    k = unsigned(0)
    for i in side:
        of_row = scale[i]
        for p in range(unsigned(first[i]), unsigned(first[i + 1])):
            neighbor = unsigned(neighbors[p])
            places[k] = place[neighbor]
            entries[k] = strengths[p] * of_row * scale[neighbor]
            k += unsigned(1)
