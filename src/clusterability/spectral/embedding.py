"""The spectral embedding: leading eigenvectors of the normalized Laplacian, block by block.

Notation of DESIGN: M = D^-1/2 A D^-1/2 and L_sym = I - M. With u an eigenvector of L_sym, the
embedding is y = D^-1/2 u, scaled so that y' D y = 1; y is an eigenvector of L_norm = I - D^-1 A,
with the same eigenvalue. Algorithm 1 of Filan et al. (2021) and scikit-learn's
``SpectralClustering`` cluster the rows of these eigenvectors.

Isolated neurons are kept, with 0 in D^-1/2, so that all shuffles of a network have the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.graph.sparse import SparseGraph
from clusterability.spectral.degrees import fast_degrees
from clusterability.spectral.problems import BipartiteProblem, Eigenproblem, GeneralProblem
from clusterability.spectral.solvers import Solver, choose_solver
from clusterability.spectral.weak_rows import recompute_weak_rows

EXACT_SIDE = 200
"""Problems up to this size are solved in float64, whose extra cost is negligible there."""

SMALLEST_IN_FLOAT32 = 3e-3
"""The smallest eigenvalue of M trusted in float32: the square of a smaller singular value of B is
lost in the rounding of B'B."""


@dataclass(frozen=True)
class Embedding:
    """Leading non-trivial eigenpairs of L_norm.

    The first eigenpair, eigenvalue 0 with a constant vector, is left out: it is known, and k-means
    ignores a constant column.

    Attributes:
        eigenvalues: (..., m) ascending, from the second on; float64.
        vectors: (..., n_neurons, m), y' D y = 1, rows of isolated neurons 0; float64. A column
            whose eigenvalue of M is not positive is 0. In a two-colorable graph M has at most as
            many positive eigenvalues as the smaller side has neurons.
        degrees: (..., n_neurons), float64.

    >>> from clusterability import toy
    >>> embedding = spectral_embedding(toy.matching(), 1, [np.random.default_rng(0)])
    >>> embedding.vectors.shape, embedding.degrees.sum()
    (torch.Size([6, 1]), tensor(6., dtype=torch.float64))
    """

    eigenvalues: Tensor
    vectors: Tensor
    degrees: Tensor


def spectral_embedding(
    graph: NeuronGraph,
    n_dimensions: int,
    rngs: Sequence[np.random.Generator],
    solver: Solver | None = None,
    sparse: SparseGraph | None = None,
) -> Embedding:
    """Compute the leading non-trivial eigenvectors of L_norm.

    Args:
        graph: one graph, or a batch of them with one leading axis.
        n_dimensions: number of eigenvectors; fewer are returned if the eigenproblem is smaller.
        rngs: a generator for each graph; draws the block that the iteration starts from.
        solver: :func:`~clusterability.spectral.solvers.dense` or
            :func:`~clusterability.spectral.solvers.iterative`; by default chosen by size.
        sparse: the same graph by its non-zero strengths, one on the CPU. If it is two-colorable,
            its eigenvectors come from products with these.

    Raises:
        InputError: if the graph has more leading axes, or the generators are not one a graph.

    >>> from clusterability import toy
    >>> spectral_embedding(toy.path(), 1, [np.random.default_rng(0)]).eigenvalues
    tensor([0.5000], dtype=torch.float64)
    """
    if sparse is not None:
        degrees = torch.from_numpy(sparse.degrees())
    elif any(block.strengths.requires_grad for block in graph.blocks):
        degrees = graph.degrees(torch.float64)
    else:
        degrees = fast_degrees(graph, torch.float64)
    _check_axes(degrees, len(rngs))
    problem = eigenproblem(graph, degrees, sparse)
    n_wanted = min(n_dimensions, problem.size - 1)
    if n_wanted <= 0:
        return Embedding(degrees[..., :0], degrees[..., None][..., :0], degrees)
    solver = solver or choose_solver(problem)
    dtype = torch.float64 if problem.size <= EXACT_SIDE else torch.float32
    values, vectors = problem.finish(solver(problem, n_wanted, dtype, rngs))
    if dtype == torch.float32 and bool((values[..., -1] < SMALLEST_IN_FLOAT32).any()):
        values, vectors = problem.finish(solver(problem, n_wanted, torch.float64, rngs))
    values = values.clamp_max(1)  # M has none above 1; a product in float32 can round to one
    rows = vectors * inverse_root(degrees)[..., None]
    return Embedding(1 - values, recompute_weak_rows(graph, degrees, values, rows), degrees)


def _check_axes(degrees: Tensor, n_generators: int) -> None:
    batch = tuple(degrees.shape[:-1])
    if len(batch) > 1:
        raise InputError(
            f"the blocks have the leading axes {batch}, expected at most one; flatten them"
        )
    n_graphs = batch[0] if batch else 1
    if n_generators != n_graphs:
        raise InputError(f"there are {n_generators} generators, expected {n_graphs}, one a graph")


def eigenproblem(
    graph: NeuronGraph, degrees: Tensor, sparse: SparseGraph | None = None
) -> Eigenproblem:
    """Return the smallest symmetric eigenproblem that gives the leading eigenvalues of M."""
    colors = graph.two_coloring()
    scale, trivial = inverse_root(degrees), degrees.sqrt()
    if colors is None:
        return GeneralProblem(graph, scale, trivial)
    return BipartiteProblem(graph, scale, trivial, colors, sparse)


def inverse_root(degrees: Tensor) -> Tensor:
    """Return the diagonal of D^-1/2, 0 for isolated neurons."""
    alive = degrees > 0
    # The inner where keeps the gradient of isolated neurons from being NaN.
    return torch.where(alive, torch.where(alive, degrees, 1).rsqrt(), 0)
