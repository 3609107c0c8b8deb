"""Linear maps between axes that indices describe, their index tensors made once for each device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

Entries = tuple[int, ...] | None
"""An index for each entry of an axis; None for 0, 1, ... in order."""

Map = Callable[[Tensor], Tensor]


class Index:
    """Indices that become a tensor once for each device, so that a training step makes none.

    >>> index = Index((2, 0))
    >>> index.on(torch.device("cpu")) is index.on(torch.device("cpu"))
    True
    """

    def __init__(self, entries: tuple[int, ...]) -> None:
        self._entries = entries
        self._tensors: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Tensor:
        """Return the indices, (n,) int64, on the device."""
        tensor = self._tensors.get(device)
        if tensor is None:
            # A tensor made in inference mode could not be used where gradients are wanted later.
            with torch.inference_mode(False):
                tensor = self._tensors[device] = _indices(self._entries, device)
        return tensor


def picks(entries: Entries, n: int) -> Tensor:
    """Return indices as a tensor; None stands for 0, 1, ... n - 1."""
    return torch.arange(n) if entries is None else _indices(entries)


def _indices(entries: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return indices as a tensor on torch's default device or another one.

    It is there several times sooner than that of torch.tensor.
    """
    return torch.as_tensor(np.fromiter(entries, np.int64, len(entries)), device=device)


def pick_columns(entries: Entries) -> Map:
    """Return the map (..., n) -> (..., len(entries)) to the columns of these indices."""
    return _keep if entries is None else partial(_pick, Index(entries), -1)


def add_into_columns(entries: Entries, n_columns: int) -> Map:
    """Return the map (..., len(entries)) -> (..., n_columns) that adds columns of one index up."""
    if entries is None:
        return _keep
    return partial(_add_into, Index(entries), -1, n_columns)


def adds_rows(entries: Entries, n_rows: int) -> bool:
    """Whether :func:`add_into_rows` adds several rows up, not only takes them out."""
    return entries is not None and len(entries) - entries.count(-1) > n_rows


def add_into_rows(entries: Entries, n_rows: int) -> Map:
    """Return the map (..., len(entries), m) -> (..., n_rows, m) that adds rows of one index up.

    Rows of index -1 are left out. The map is the cheapest that the indices allow, since a dense
    weight that reads an image has tens of thousands of rows: a reshape adds up faster than an
    index, and a slice of a transposed matrix is free where rows picked one by one are not.
    """
    if entries is None:
        return _keep
    index, rows = np.fromiter(entries, np.int64, len(entries)), np.arange(n_rows)
    repeats = len(entries) // n_rows
    if len(entries) == n_rows * repeats and index.min() >= 0:
        if np.array_equal(index, rows.repeat(repeats)):
            return partial(_split_and_sum, (n_rows, repeats), -2)
        if np.array_equal(index, np.tile(rows, repeats)):
            return partial(_split_and_sum, (repeats, n_rows), -3)
    places = np.flatnonzero(index >= 0)
    first, last = int(places[0]), int(places[-1]) + 1
    if last - first == len(places):
        select: Map = partial(_slice_rows, slice(first, last))
    else:
        select = partial(_pick, Index(tuple(places.tolist())), -2)
    if np.array_equal(index[places], rows):
        return select
    add: Map = partial(_add_into, Index(tuple(index[places].tolist())), -2, n_rows)
    return lambda matrix: add(select(matrix))


def _keep(matrix: Tensor) -> Tensor:
    return matrix


def _pick(index: Index, axis: int, matrix: Tensor) -> Tensor:
    return matrix.index_select(axis, index.on(matrix.device))


def _slice_rows(rows: slice, matrix: Tensor) -> Tensor:
    return matrix[..., rows, :]


def _split_and_sum(sizes: tuple[int, int], axis: int, matrix: Tensor) -> Tensor:
    """Split the rows into two axes of these sizes, and sum over one of them."""
    return torch.unflatten(matrix, -2, sizes).sum(axis)


def _add_into(index: Index, axis: int, n: int, matrix: Tensor) -> Tensor:
    shape = list(matrix.shape)
    shape[axis] = n
    return matrix.new_zeros(shape).index_add(axis, index.on(matrix.device), matrix)
