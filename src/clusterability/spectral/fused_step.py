"""One step of :mod:`clusterability.spectral.following` in a few compiled loops, on a CPU.

In a training each small operation on tensors waits for memory, since the steps between push its
data out of the cache. Differs from the same step in torch in that a handful of calls make it, and
in that vectors are made orthonormal by Gram and Schmidt, twice, not by a QR decomposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled

DEPENDENT = 1e-4
"""A vector of which less than this is left beside those before it has no direction of its own."""

Array = NDArray[Any]


def fused_step(
    rows: Array, half: int, roots: Sequence[Array], blocks: Sequence[tuple[Array, int, int, bool]]
) -> tuple[Array, list[Array]] | None:
    """Return the eigenvalues of D^-1/2 A D^-1/2 and the eigenvectors' halves.

    Args:
        rows: (n_runs, n, size), the start, y = D^-1/2 x, in one half.
        half: 0 or 1, the half of ``rows``.
        roots: of each half, (n_runs, size), roots of the degrees.
        blocks: (n_runs, n_rows, n_columns) each, not negative, with the first neuron of its rows
            and of its columns in their halves, and whether the rows are in the first half.

    Returns:
        Eigenvalues (n_runs, n), descending, and of each half the vectors y, (n_runs, n, size), with
        y' D y = 1 over both; None where the start has fewer directions than vectors.
    """
    basis, scaled = np.empty_like(rows), np.empty_like(rows)
    if not _orthonormalize(rows, roots[half], basis, scaled, rows.dtype.type(DEPENDENT)):
        return None
    other = 1 - half
    image = np.zeros((*rows.shape[:-1], roots[other].shape[-1]), rows.dtype)
    for block, first_row, first_column, is_first_half in blocks:
        if is_first_half == (half == 0):
            _add_columns(block, scaled, first_row, image, first_column)
        else:
            _add_rows(block, scaled, first_column, image, first_row)
    squares, rotation = np.linalg.eigh(_scaled_products(image, roots[other]))
    squares, rotation = squares[:, ::-1], np.ascontiguousarray(rotation[:, :, ::-1], rows.dtype)
    is_known = squares > 10 * np.finfo(rows.dtype).eps
    values = np.sqrt(np.where(is_known, squares, 0))
    factors = (is_known * 0.5**0.5, is_known * 0.5**0.5 / np.where(is_known, values, 1))
    halves = [basis, image] if half == 0 else [image, basis]
    for i, factor in ((half, factors[0]), (other, factors[1])):
        halves[i] = _rotated(halves[i], rotation, factor.astype(rows.dtype), roots[i])
    return values.astype(rows.dtype), halves


@compiled(reorder=True)
def _orthonormalize(rows, root, basis, scaled, dependent):  # type: ignore[no-untyped-def]
    """Multiply by the root, make orthonormal beside the trivial vector, and divide by the root."""
    n_runs, n_vectors, size = rows.shape
    zero, one = root.dtype.type(0), root.dtype.type(1)
    for run in range(n_runs):
        trivial = root[run]
        volume = zero
        for i in range(size):
            volume += trivial[i] * trivial[i]
        if not volume > 0:
            return False
        for v in range(n_vectors):
            vector, start = basis[run, v], rows[run, v]
            before = zero
            for i in range(size):
                vector[i] = start[i] * trivial[i]
                before += vector[i] * vector[i]
            for _ in range(2):
                product = zero
                for i in range(size):
                    product += vector[i] * trivial[i]
                product /= volume
                for i in range(size):
                    vector[i] -= product * trivial[i]
                for u in range(v):
                    known = basis[run, u]
                    product = zero
                    for i in range(size):
                        product += vector[i] * known[i]
                    for i in range(size):
                        vector[i] -= product * known[i]
            left = zero
            for i in range(size):
                left += vector[i] * vector[i]
            if not left > dependent * dependent * before:
                return False
            factor = one / np.sqrt(left)
            for i in range(size):
                vector[i] *= factor
                scaled[run, v, i] = vector[i] / trivial[i] if trivial[i] > 0 else zero
    return True


@compiled(reorder=True)
def _add_rows(blocks, vectors, first, image, into):  # type: ignore[no-untyped-def]
    """Add the products of vectors with the rows of a block: one number for each row."""
    n_runs, n_rows, n_columns = blocks.shape
    n_vectors = vectors.shape[1]
    zero = blocks.dtype.type(0)
    for run in range(n_runs):
        for j in range(n_rows):
            row = blocks[run, j]
            for v in range(0, n_vectors - n_vectors % 4, 4):
                x0, x1 = vectors[run, v, first:], vectors[run, v + 1, first:]
                x2, x3 = vectors[run, v + 2, first:], vectors[run, v + 3, first:]
                s0, s1, s2, s3 = zero, zero, zero, zero
                for i in range(n_columns):
                    strength = row[i]
                    s0 += strength * x0[i]
                    s1 += strength * x1[i]
                    s2 += strength * x2[i]
                    s3 += strength * x3[i]
                image[run, v, into + j] += s0
                image[run, v + 1, into + j] += s1
                image[run, v + 2, into + j] += s2
                image[run, v + 3, into + j] += s3
            for v in range(n_vectors - n_vectors % 4, n_vectors):
                x0, s0 = vectors[run, v, first:], zero
                for i in range(n_columns):
                    s0 += row[i] * x0[i]
                image[run, v, into + j] += s0


@compiled(reorder=True)
def _add_columns(blocks, vectors, first, image, into):  # type: ignore[no-untyped-def]
    """Add the products of vectors with the columns of a block: one number for each column."""
    n_runs, n_rows, n_columns = blocks.shape
    for run in range(n_runs):
        for j in range(0, n_rows - n_rows % 4, 4):
            w0, w1, w2, w3 = (
                blocks[run, j],
                blocks[run, j + 1],
                blocks[run, j + 2],
                blocks[run, j + 3],
            )
            for v in range(vectors.shape[1]):
                x, sums = vectors[run, v, first + j :], image[run, v, into:]
                x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
                for i in range(n_columns):
                    sums[i] += x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]
        for j in range(n_rows - n_rows % 4, n_rows):
            w0 = blocks[run, j]
            for v in range(vectors.shape[1]):
                x0, sums = vectors[run, v, first + j], image[run, v, into:]
                for i in range(n_columns):
                    sums[i] += x0 * w0[i]


@compiled(reorder=True)
def _scaled_products(vectors, root):  # type: ignore[no-untyped-def]
    """Divide vectors by the root in place, and return their products with each other."""
    n_runs, n_vectors, size = vectors.shape
    products = np.empty((n_runs, n_vectors, n_vectors))
    zero = vectors.dtype.type(0)
    for run in range(n_runs):
        for v in range(n_vectors):
            vector = vectors[run, v]
            for i in range(size):
                vector[i] = vector[i] / root[run, i] if root[run, i] > 0 else zero
            for u in range(v + 1):
                other, product = vectors[run, u], zero
                for i in range(size):
                    product += vector[i] * other[i]
                products[run, v, u] = product
                products[run, u, v] = product
    return products


@compiled(reorder=True)
def _rotated(vectors, rotation, factors, root):  # type: ignore[no-untyped-def]
    """Return combinations of vectors, each times its factor, divided by the root."""
    n_runs, n_vectors, size = vectors.shape
    found = np.zeros_like(vectors)
    zero = vectors.dtype.type(0)
    for run in range(n_runs):
        for v in range(n_vectors):
            combined = found[run, v]
            for u in range(n_vectors):
                weight, vector = rotation[run, u, v] * factors[run, v], vectors[run, u]
                for i in range(size):
                    combined[i] += weight * vector[i]
            for i in range(size):
                combined[i] = combined[i] / root[run, i] if root[run, i] > 0 else zero
    return found
