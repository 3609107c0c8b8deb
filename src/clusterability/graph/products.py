"""Sums and products of a block in another precision, without a copy of the whole block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PIECE = 2**18
"""Number of strengths converted to another precision at a time: 2 MB of float64."""


def row_and_column_sums(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the sums over the last axis and over the one before it, added up in ``dtype``."""
    if not _in_pieces(matrix, dtype):
        return matrix.sum(-1, dtype=dtype), matrix.sum(-2, dtype=dtype)
    rows = matrix.new_empty(matrix.shape[0], dtype=dtype)
    columns = matrix.new_zeros(matrix.shape[1], dtype=dtype)
    for span, piece in _converted_pieces(matrix, dtype):
        torch.sum(piece, -1, out=rows[span])
        columns += piece.sum(-2)
    return rows, columns


def matmul(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return matrix @ vectors in the precision of ``vectors``; leading axes are broadcast."""
    if vectors.ndim > 2 or not _in_pieces(matrix, vectors.dtype):
        return matrix.to(vectors.dtype) @ vectors
    image = vectors.new_empty(matrix.shape[0], vectors.shape[1])
    for span, piece in _converted_pieces(matrix, vectors.dtype):
        torch.mm(piece, vectors, out=image[span])
    return image


def transposed_matmul(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return matrix' @ vectors, computed as (vectors' @ matrix)', which is faster."""
    if vectors.ndim > 2 or not _in_pieces(matrix, vectors.dtype):
        return (vectors.mT @ matrix.to(vectors.dtype)).mT
    image = vectors.new_zeros(vectors.shape[1], matrix.shape[1])
    for span, piece in _converted_pieces(matrix, vectors.dtype):
        image.addmm_(vectors[span].mT, piece)
    return image.mT


def _in_pieces(matrix: Tensor, dtype: torch.dtype) -> bool:
    """Return whether to convert a matrix piece by piece.

    A strength costs 4 bytes and its copy in float64 8: on a network near the size of the memory
    the copy of a whole block would not fit.
    """
    large = matrix.ndim == 2 and matrix.numel() > PIECE
    return large and matrix.dtype != dtype and not matrix.requires_grad


def _converted_pieces(matrix: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of the matrix in another precision; each piece overwrites the one before."""
    n_rows = max(1, PIECE // matrix.shape[-1])
    buffer = matrix.new_empty(n_rows, matrix.shape[-1], dtype=dtype)
    for first in range(0, matrix.shape[0], n_rows):
        span = slice(first, min(first + n_rows, matrix.shape[0]))
        yield span, buffer[: span.stop - first].copy_(matrix[span])
