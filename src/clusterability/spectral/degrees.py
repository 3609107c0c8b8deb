"""Degrees and sums of strengths, in one pass over each block."""

from __future__ import annotations

import torch
from torch import Tensor

from clusterability.compiling import can_compile, compiled
from clusterability.graph import NeuronGraph


def fast_degrees(graph: NeuronGraph, dtype: torch.dtype | None = None) -> Tensor:
    """Return the degrees as :meth:`NeuronGraph.degrees` does, but no derivative follows them.

    Args:
        graph: one graph, or a batch along one leading axis.
        dtype: precision in which they are added up; by default the graph's own.

    >>> from clusterability import toy
    >>> fast_degrees(toy.path())
    tensor([1., 2., 2., 1.])
    """
    blocks = [(b, b.strengths.detach()) for b in graph.blocks]
    laid = [s if s.is_contiguous() else s.mT for _, s in blocks]
    if not laid or len(graph.batch_shape) > 1 or not can_compile(*laid):
        return graph.degrees(dtype)
    degrees = laid[0].new_zeros(*graph.batch_shape, graph.n_neurons, dtype=dtype)
    for (block, strengths), rows in zip(blocks, laid, strict=True):
        ends = (graph.offsets[block.source], graph.offsets[block.target])
        first, second = ends if strengths.is_contiguous() else ends[::-1]
        stacked = rows if rows.ndim == 3 else rows[None]
        add_sums(stacked, None, degrees.view(len(stacked), -1), int(first), int(second))
    return degrees


def fast_total(strengths: Tensor) -> Tensor:
    """Return the sum of a block's strengths, (...,), added up in float64; no derivative follows it.

    >>> fast_total(torch.ones(3, 4))
    tensor(12., dtype=torch.float64)
    """
    laid = strengths.detach()
    laid = laid if laid.is_contiguous() else laid.mT
    if laid.ndim != 2 or not can_compile(laid):
        return strengths.detach().sum((-2, -1), dtype=torch.float64)
    return torch.tensor(_total(laid.reshape(-1).numpy()), dtype=torch.float64)


@compiled(reorder=True)
def _total(strengths):  # type: ignore[no-untyped-def]
    total = 0.0
    for strength in strengths:
        total += float(strength)  # where nothing is compiled, the sum would become a float32
    return total


def add_sums(
    weights: Tensor, absolute: Tensor | None, degrees: Tensor, of_rows: int, of_columns: int
) -> None:
    """Add the sums of absolute weights to the degrees of the rows' and of the columns' neurons.

    Args:
        weights: (n_runs, n_rows, n_columns), contiguous and on the CPU.
        absolute: of the same shape, becomes the absolute weights; None where they are not needed.
        degrees: (n_runs, n_neurons).
        of_rows, of_columns: first neuron of the rows and of the columns.
    """
    kept = weights if absolute is None else absolute
    arrays = (weights.numpy(), kept.numpy(), degrees.numpy())
    _add_sums(*arrays, of_rows, of_columns, absolute is not None)


@compiled(reorder=True)
def _add_sums(weights, absolute, degrees, of_rows, of_columns, is_kept):  # type: ignore[no-untyped-def]
    n_runs, n_rows, n_columns = weights.shape
    for run in range(n_runs):
        sums = degrees[run, of_columns : of_columns + n_columns]
        for j in range(n_rows):
            row, kept = weights[run, j], absolute[run, j]
            total = degrees.dtype.type(0)
            if is_kept:
                for i in range(n_columns):
                    strength = abs(row[i])
                    total += strength
                    sums[i] += strength
                    kept[i] = strength
            else:
                for i in range(n_columns):
                    strength = abs(row[i])
                    total += strength
                    sums[i] += strength
            degrees[run, of_rows + j] += total
