"""Compiled loops over a matrix whose rows and columns have tags.

Torch's operations would write arrays of the matrix's size in between, at a tenth of a step's time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled

Matrix = NDArray[np.float32]
Tags = NDArray[np.int64]


@compiled(reorder=True)
def add_up(matrix: Matrix, rows: Tags, columns: Tags, squared: bool, sums: Matrix) -> None:
    """Add the squares, or the absolute values, of each pair of tags to ``sums``."""
    by_row = np.zeros((len(sums), matrix.shape[1]), matrix.dtype)
    for i in range(len(matrix)):
        row, held = matrix[i], by_row[rows[i]]
        if squared:
            for j in range(len(row)):
                held[j] += row[j] * row[j]
        else:
            for j in range(len(row)):
                held[j] += abs(row[j])
    for tag in range(len(sums)):
        for j in range(matrix.shape[1]):
            sums[tag, columns[j]] += by_row[tag, j]


@compiled(reorder=True)
def add_products(
    total: Matrix, matrix: Matrix, rows: Tags, columns: Tags, values: Matrix, signs: bool
) -> None:
    """Add to ``total`` each entry, or its sign, times the value of its pair of tags."""
    by_row = np.empty((len(values), matrix.shape[1]), matrix.dtype)
    for tag in range(len(values)):
        for j in range(matrix.shape[1]):
            by_row[tag, j] = values[tag, columns[j]]
    for i in range(len(matrix)):
        row, added, held = matrix[i], total[i], by_row[rows[i]]
        if signs:
            for j in range(len(row)):
                added[j] += np.sign(row[j]) * held[j]
        else:
            for j in range(len(row)):
                added[j] += row[j] * held[j]
