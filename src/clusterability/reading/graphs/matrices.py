"""Graphs from SciPy's sparse matrices and the files that ``scipy.sparse.save_npz`` writes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from clusterability.errors import InputError
from clusterability.files.npz import read_npz
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.edges import (
    EdgeList,
    check_layers,
    check_size,
    graph_of_edges,
)
from clusterability.shown import described

ROUNDING = 1e-6
"""Largest difference between the halves of a matrix, relative to the larger entry, to accept."""

_ARRAYS = {
    **dict.fromkeys(("csr", "csc", "bsr"), ("indices", "indptr")),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}


def graph_from_sparse(matrix: Any, layers: Sequence[str | int] | None = None) -> NeuronGraph:
    """Return the graph of a symmetric adjacency matrix.

    Its null model permutes strengths within blocks: between two layers, among the nodes of one
    layer, and without layers over all pairs of nodes.

    Args:
        matrix: (n, n) SciPy sparse matrix or array of real numbers, not negative, with an empty
            diagonal. Halves that differ by rounding, up to 1e-6 of an entry, are averaged.
        layers: the layer of each node, strings or whole numbers; by default one layer ``nodes``.

    Raises:
        InputError: if the matrix is not as described, or its dense blocks do not fit into memory.

    >>> pair = graph_from_sparse(scipy.sparse.csr_array([[0.0, 2.0], [2.0, 0.0]]))
    >>> pair.layers, pair.degrees()
    ((Layer(name='nodes', n_neurons=2),), tensor([2., 2.]))
    """
    if not scipy.sparse.issparse(matrix):
        raise InputError(
            f"the matrix is of type {type(matrix).__name__}, expected a SciPy sparse one; "
            "wrap it in scipy.sparse.csr_array"
        )
    n_nodes = _check_matrix(tuple(matrix.shape), matrix.dtype)
    check_size(n_nodes, matrix.nnz // 2, layers is not None)
    if layers is not None and len(layers) != n_nodes:
        raise InputError(f"the matrix has {n_nodes} rows, but {len(layers)} layers are given")
    if layers is not None:
        layers = check_layers(layers)
    if n_nodes == 0:
        raise InputError("the matrix has no rows, so there is nothing to cluster")
    coordinates = matrix.tocoo()
    rows, columns = (np.asarray(ends, dtype=np.int64) for ends in coordinates.coords)
    weights = np.asarray(coordinates.data, dtype=np.float64)
    edges = _one_half(rows, columns, weights, n_nodes)
    return graph_of_edges(EdgeList(range(n_nodes), *edges, layers))


def is_matrix_file(path: Path) -> bool:
    """Whether the names of its arrays make a ``.npz`` file a sparse matrix, not weights."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except Exception:  # the reader of weights will report why it is unreadable
        return False
    kinds = ({f"{name}.npy" for name in arrays} for arrays in _ARRAYS.values())
    common = {"format.npy", "shape.npy", "data.npy"} <= names
    return common and any(arrays <= names for arrays in kinds)


def read_matrix(path: Path) -> NeuronGraph:
    """Return the graph in a file of ``scipy.sparse.save_npz``, perhaps with an array ``layers``.

    Raises:
        InputError: if the arrays do not make a symmetric sparse matrix.
    """
    arrays = read_npz(path)
    if not {"format", "shape", "data"} <= arrays.keys():
        raise InputError(
            f"the file holds the arrays {described(list(arrays))} and no sparse matrix; save one "
            "with scipy.sparse.save_npz"
        )
    kind = _text(arrays["format"])
    if kind not in _ARRAYS or not {*_ARRAYS[kind]} <= arrays.keys():
        raise InputError(
            f"the sparse matrix has the format {described(kind)}, expected one of "
            f"{', '.join(_ARRAYS)} with the arrays that belong to it; save it with save_npz"
        )
    shape = arrays["shape"]
    if shape.dtype.kind not in "iu" or shape.ndim != 1:
        raise InputError(f"the matrix's shape is {described(shape)}, expected whole numbers")
    # Sizes are checked before SciPy sees them: a few bytes can claim a shape of terabytes.
    n_nodes = _check_matrix(tuple(shape.tolist()), arrays["data"].dtype)
    layers = arrays.get("layers")
    check_size(n_nodes, arrays["data"].size // 2, layers is not None)
    if layers is not None and (layers.ndim != 1 or layers.dtype.kind not in "iuU"):
        raise InputError(
            f"layers are {layers.dtype} of shape {layers.shape}, expected one string or whole "
            "number a node"
        )
    if layers is not None and len(layers) != n_nodes:
        raise InputError(f"the matrix has {n_nodes} rows, but {len(layers)} layers are given")
    matrix = _assembled(kind, arrays, n_nodes)
    return graph_from_sparse(matrix, None if layers is None else layers.tolist())


def _assembled(kind: str, arrays: Mapping[str, NDArray[Any]], n_nodes: int) -> Any:
    places = []
    for name in _ARRAYS[kind]:
        if arrays[name].dtype.kind not in "iu":
            raise InputError(f"{name} holds {arrays[name].dtype}, expected whole numbers")
        places.append(arrays[name].astype(np.int64))
    data, shape = arrays["data"].astype(np.float64), (n_nodes, n_nodes)
    try:
        if kind == "coo":
            return scipy.sparse.coo_array((data, tuple(places)), shape=shape)
        if kind == "dia":
            return scipy.sparse.dia_array((data, *places), shape=shape)
        matrix = getattr(scipy.sparse, f"{kind}_array")((data, *places), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        reason = described(str(error))
        raise InputError(f"the arrays make no {kind} matrix ({reason}); save it again") from None
    return matrix


def _text(array: NDArray[Any]) -> str:
    value = array.item() if array.size == 1 else b""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _check_matrix(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the number of rows of a square matrix of real numbers, and refuse others."""
    if len(shape) != 2 or shape[0] != shape[1] or min(shape) < 0:
        raise InputError(f"the matrix has shape {shape}, expected a square one, nodes x nodes")
    if dtype.kind == "c":
        raise InputError("the matrix is complex; take absolute values")
    if dtype.kind not in "biuf":
        raise InputError(f"the matrix holds {dtype}, expected real numbers")
    if shape[0] >= 2**31:
        raise InputError(f"the matrix has {shape[0]:,} rows, too many to measure")
    return int(shape[0])


def _one_half(
    rows: NDArray[np.int64], columns: NDArray[np.int64], weights: NDArray[np.float64], n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the edges above the diagonal, after a check that those below it are the same."""
    # Leave wrong weights to the check of single edges: here they would be summed.
    if not np.isfinite(weights).all() or (weights < 0).any():
        return rows, columns, weights
    keys = np.minimum(rows, columns) * n_nodes + np.maximum(rows, columns)
    kept, places = np.unique(keys, return_inverse=True)
    upper, lower = (
        np.bincount(places[half], weights[half], minlength=len(kept))
        for half in (rows <= columns, rows >= columns)
    )
    apart = np.abs(upper - lower) > ROUNDING * np.maximum(upper, lower)
    first, second = kept // n_nodes, kept % n_nodes
    if apart.any():
        i = int(np.argmax(apart))
        raise InputError(
            f"the matrix is not symmetric: {upper[i]:.6g} at row {first[i]}, column {second[i]}, "
            f"but {lower[i]:.6g} at row {second[i]}, column {first[i]}; pass "
            "(matrix + matrix.T) / 2, or matrix + matrix.T if it holds each edge once"
        )
    return first, second, np.where(upper == lower, upper, upper / 2 + lower / 2)
