"""Block Lanczos iteration with thick restarts, for a batch of symmetric operators at once.

Differs from ARPACK: a block of vectors a step, so that the work is matrix products and multiple
eigenvalues are found together; a leading batch axis, so that a GPU solves all shuffles at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

MAX_RESTARTS = 100

MAX_STAGNANT = 4
"""Restarts in a row that barely lower the residual before it is taken for rounding."""

BASIS_BLOCKS = 12
"""Blocks that the basis holds before a restart."""

SMALLEST_SIDE = BASIS_BLOCKS + 2
"""Blocks that must fit into the space: the basis, the one that follows, and room to choose it."""

FALL = 10
"""By what factor a block lowers the residual at most, as a rule: says when to look at it again."""

WELL_CONDITIONED = 0.1
"""Share of each column that must outlast a projection for its rounding not to matter."""


def largest_eigenpairs(
    apply: Callable[[Tensor], Tensor], start: Tensor, n_wanted: int, tolerance: float = 2e-6
) -> tuple[Tensor, Tensor]:
    """The algebraically largest eigenvalues, descending, and their eigenvectors.

    Iterates until every wanted residual norm is below ``tolerance`` times the largest |eigenvalue|
    seen, or has stopped falling: it cannot fall below rounding.

    Args:
        apply: maps (..., n, b) to (..., n, b); symmetric.
        start: (..., n, b), with b > n_wanted and n at least ``SMALLEST_SIDE`` b; at least a part
            of each column random.
        n_wanted: number of eigenpairs.

    Returns:
        Eigenvalues (..., n_wanted) in float64 and eigenvectors (..., n, n_wanted).
    """
    width = start.shape[-1]
    size = BASIS_BLOCKS * width
    n_kept = min(n_wanted + 2 * width, size - 2 * width)
    basis = start.new_zeros(*start.shape[:-1], size)
    projected = start.new_zeros(*start.shape[:-2], size, size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    block, _ = _orthonormal(start, basis[..., :0], generator)
    filled, best, n_stagnant, n_restarts, steps_to_look = 0, float("inf"), 0, 0, 2
    while True:
        span = slice(filled, filled + width)
        basis[..., span] = block
        image = apply(block)
        filled += width
        known = basis[..., :filled]
        column = known.mT @ image
        projected[..., :filled, span] = column
        projected[..., span, :filled] = column.mT
        block, coupling = _orthonormal(image, known, generator, column)
        steps_to_look -= 1
        is_full = filled + width > size
        if steps_to_look > 0 and not is_full:
            continue
        values, rotation = torch.linalg.eigh(projected[..., :filled, :filled])
        error = _error(values, coupling.double() @ rotation[..., -width:, -n_wanted:])
        if is_full:
            n_restarts += 1
            n_stagnant = n_stagnant + 1 if error > 0.7 * best else 0
            best = min(best, error)
        if error <= tolerance or n_stagnant == MAX_STAGNANT or n_restarts == MAX_RESTARTS:
            break
        steps_to_look = math.ceil(math.log(error / tolerance, FALL))
        if is_full:
            basis[..., :n_kept] = known @ rotation[..., -n_kept:].to(basis.dtype)
            projected.zero_()
            projected.diagonal(dim1=-2, dim2=-1)[..., :n_kept] = values[..., -n_kept:]
            filled = n_kept
    vectors = known @ rotation[..., -n_wanted:].to(basis.dtype)
    return values[..., -n_wanted:].flip(-1), vectors.flip(-1)


def _error(values: Tensor, residuals: Tensor) -> float:
    """The longest residual (a column) over the largest |eigenvalue|, in the worst of the batch."""
    lengths = torch.linalg.vector_norm(residuals, dim=-2).amax(-1)
    return float((lengths / values.abs().amax(-1).clamp_min(1e-30)).max())


def _orthonormal(
    block: Tensor, known: Tensor, generator: torch.Generator, inside: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Orthonormal columns that span ``block`` less that of ``known``; and the coupling factor.

    Projecting twice keeps float32 orthogonal to rounding; a third time is for columns that
    cancelled almost entirely. Columns of which nothing is left but rounding, as when the space is
    exhausted, are replaced by random ones, which are coupled to nothing.

    ``inside`` is known' block, if it has been computed already.
    """
    lengths = torch.linalg.vector_norm(block, dim=-2, keepdim=True)
    block = block - known @ (known.mT @ block if inside is None else inside)
    block = block - known @ (known.mT @ block)
    norms = torch.linalg.vector_norm(block, dim=-2, keepdim=True)
    lost = norms <= 100 * torch.finfo(block.dtype).eps * lengths
    if bool(lost.any()):
        fresh = torch.randn(block.shape, generator=generator, dtype=block.dtype).to(block.device)
        for _ in range(2):
            fresh = fresh - known @ (known.mT @ fresh)
        block = torch.where(lost, fresh, block)
    scale = torch.where(lost, torch.linalg.vector_norm(block, dim=-2, keepdim=True), norms)
    columns, first = _by_cholesky(block / scale)
    kept = torch.minimum(first.diagonal(dim1=-2, dim2=-1), (norms / lengths).squeeze(-2))
    if not bool((kept > WELL_CONDITIONED).all()):
        columns = columns - known @ (known.mT @ columns)
    columns, second = _by_cholesky(columns)
    return columns, second @ first * torch.where(lost, 0, norms)


def _by_cholesky(columns: Tensor) -> tuple[Tensor, Tensor]:
    """A QR factorization in products only; where columns depend on each other, a true QR."""
    gram = (columns.mT @ columns).double()
    factor, info = torch.linalg.cholesky_ex(gram, upper=True)
    if bool((info > 0).any()) or bool((factor.diagonal(dim1=-2, dim2=-1) < 1e-3).any()):
        orthonormal, triangle = torch.linalg.qr(columns)
        return orthonormal, triangle
    triangle = factor.to(columns.dtype)
    orthonormal = torch.linalg.solve_triangular(triangle, columns, upper=True, left=False)
    return orthonormal, triangle
