"""Distinct rows of labels, which are small integers: counted instead of sorted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

SPARSE = 8
"""Codes are sorted where their range is more than this many times their number."""


def distinct(numbers: Indices) -> Indices:
    """Return the distinct ones of some non-negative integers, ascending.

    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    if bool((numbers[1:] > numbers[:-1]).all()):  # they are distinct and ascending already
        return numbers
    if int(numbers.max()) > SPARSE * numbers.size:
        return np.unique(numbers)
    held = np.zeros(int(numbers.max()) + 1, np.bool_)
    held[numbers] = True
    return np.flatnonzero(held)


def distinct_rows(rows: Indices) -> tuple[Indices, Indices]:
    """Return where each distinct row stands first, in the order of sorted rows, and its number.

    Args:
        rows: (n_rows, n_columns).

    Returns:
        (n_distinct,) the first place of each, and (n_rows,) the number of each row, from 0.

    >>> distinct_rows(np.array([[2, 0], [1, 5], [2, 0]]))
    (array([1, 0]), array([1, 0, 1]))
    """
    if rows.shape[1] > len(rows) > 0:
        _, first, numbers = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return first, numbers.reshape(-1)
    codes, n_codes = np.zeros(len(rows), np.int64), 1
    for column in rows.T:
        own, n_own = _compressed(column)
        codes, n_codes = _compressed(codes * n_own + own) if n_own > 1 else (codes, n_codes)
    first = np.zeros(n_codes if len(rows) else 0, np.int64)
    first[codes[::-1]] = np.arange(len(rows))[::-1]  # of equal places the last one written stays
    return first, codes


def numbered(rows: Indices) -> Indices:
    """Return a number for each row, equal for equal rows, in order of first appearance.

    >>> numbered(np.array([[2, 0], [1, 5], [2, 0]]))
    array([0, 1, 0])
    """
    first, numbers = distinct_rows(rows)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    found: Indices = rank[numbers]
    return found


def _compressed(codes: Indices) -> tuple[Indices, int]:
    """Return numbers from 0 without gaps in the order of the codes, and how many there are."""
    if not codes.size:
        return codes, 1
    lowest, highest = int(codes.min()), int(codes.max())
    if lowest == highest:
        return np.zeros_like(codes), 1
    if highest - lowest > SPARSE * codes.size:
        values, numbers = np.unique(codes, return_inverse=True)
        return numbers, len(values)
    held = np.zeros(highest - lowest + 1, np.bool_)
    held[codes - lowest] = True
    rank = np.cumsum(held) - 1
    return rank[codes - lowest], int(rank[-1]) + 1
