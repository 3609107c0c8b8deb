"""Block Lanczos iteration with thick restarts, for a batch of symmetric operators at once.

Differs from ARPACK's implicitly restarted Lanczos: each step multiplies a block of vectors, so that
the work is matrix products and multiple eigenvalues are found together; a restart keeps Ritz
vectors instead of applying shifts; a leading batch axis lets a GPU solve all shuffles at once.
Differs from LOBPCG: the basis grows to ``BASIS_BLOCKS`` blocks instead of three, without a
preconditioner.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

MAX_RESTARTS = 100

MAX_STAGNANT = 4
"""The iteration stops after this many restarts in a row that barely lower the residual."""

BASIS_BLOCKS = 12
"""The basis holds this many blocks before a restart."""

SMALLEST_SIDE = BASIS_BLOCKS + 2
"""Least size of a problem in blocks: the basis, the next block, and one more as slack."""

FALL = 10
"""A step seldom lowers the residual by more than this factor. Sets when to check it again."""

WELL_CONDITIONED = 0.1
"""If more than this share of a column survives the projections, no third one is needed."""


def largest_eigenpairs(
    apply: Callable[[Tensor], Tensor], start: Tensor, n_wanted: int, tolerance: float = 2e-6
) -> tuple[Tensor, Tensor]:
    """Compute the algebraically largest eigenvalues, descending, and their eigenvectors.

    The iteration stops when every wanted residual norm is below ``tolerance`` times the largest
    |eigenvalue| seen, or when the norms stop falling, as they do at the level of rounding.

    Args:
        apply: maps (..., n, b) to (..., n, b); symmetric.
        start: (..., n, b), with b > n_wanted and n at least ``SMALLEST_SIDE`` b. Each column must
            have a random part.
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
    block, _ = _orthonormalize(start, basis[..., :0], generator)
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
        block, coupling = _orthonormalize(image, known, generator, column)
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
    """Return the longest residual column over the largest |eigenvalue|, worst of the batch."""
    lengths = torch.linalg.vector_norm(residuals, dim=-2).amax(-1)
    return float((lengths / values.abs().amax(-1).clamp_min(1e-30)).max())


def _orthonormalize(
    block: Tensor, known: Tensor, generator: torch.Generator, inside: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Make ``block`` orthogonal to ``known`` and orthonormal; return it and the coupling factor.

    Two projections keep float32 orthogonal up to rounding; a third serves columns that cancelled
    almost entirely. If only rounding is left of a column, as when the space is exhausted, a random
    column with a coupling of 0 replaces it.

    ``inside`` is known' @ block, where the caller has computed it already.
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
    """Factor columns as QR by matrix products; by Householder QR if they are nearly dependent."""
    gram = (columns.mT @ columns).double()
    factor, info = torch.linalg.cholesky_ex(gram, upper=True)
    if bool((info > 0).any()) or bool((factor.diagonal(dim1=-2, dim2=-1) < 1e-3).any()):
        orthonormal, triangle = torch.linalg.qr(columns)
        return orthonormal, triangle
    triangle = factor.to(columns.dtype)
    orthonormal = torch.linalg.solve_triangular(triangle, columns, upper=True, left=False)
    return orthonormal, triangle
