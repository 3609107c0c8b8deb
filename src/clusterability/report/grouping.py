"""Sums of strengths over groups of neurons; figures of large graphs need no more."""

from __future__ import annotations

import numpy as np
import scipy  # scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from clusterability.errors import InputError
from clusterability.graph import Block, NeuronGraph
from clusterability.result import Clusterability


def sum_by_group(
    block: Block, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Sum the block's strengths by the groups of its rows and columns.

    Args:
        block: block with strengths of shape (n_source, n_target).
        rows: (n_source,) group of each row, -1 to leave it out.
        columns: (n_target,) group of each column, -1 to leave it out.
        shape: number of groups of rows and of columns; shape of the result.
    """
    strengths = block.strengths.detach()
    # NumPy has no bfloat16, and single precision is plenty for a drawing.
    values = (strengths if strengths.itemsize == 8 else strengths.float()).cpu().numpy()
    by_row = _indicator(rows, shape[0], values.dtype) @ values
    by_column = _indicator(columns, shape[1], values.dtype) @ by_row.T
    return np.asarray(by_column.T, dtype=float)


def _indicator(
    groups: NDArray[np.int64], n_groups: int, dtype: np.dtype[np.floating]
) -> scipy.sparse.csr_array:
    members = np.flatnonzero(groups >= 0)
    ones = np.ones(len(members), dtype=dtype)
    return scipy.sparse.csr_array((ones, (groups[members], members)), shape=(n_groups, len(groups)))


def require_result(result: object) -> None:
    """Refuse what is no result of one measurement.

    Raises:
        InputError: that says what it is.
    """
    if not isinstance(result, Clusterability):
        raise InputError(
            f"the result is of type {type(result).__name__}, expected a Clusterability, as "
            "measure() returns"
        )


def require_graph(result: Clusterability) -> NeuronGraph:
    """Return the result's graph.

    Raises:
        InputError: if it is no result, if it was read from JSON, which does not hold the graph, or
            has another number of labels than the graph has neurons.
    """
    require_result(result)
    if result.graph is None:
        raise InputError(
            "the result has no graph (JSON does not hold it); measure the network again"
        )
    if result.graph.n_neurons != len(result.labels):
        raise InputError(
            f"the result has {len(result.labels)} labels, but its graph {result.graph.n_neurons}"
            " neurons; measure the network again"
        )
    return result.graph
