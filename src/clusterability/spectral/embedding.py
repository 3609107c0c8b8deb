"""The spectral embedding: leading eigenvectors of the normalized Laplacian, block by block.

Notation of DESIGN: M = D^-1/2 A D^-1/2 and L_sym = I - M. With u an eigenvector of L_sym, the
embedding is y = D^-1/2 u, scaled so that y' D y = 1; y is an eigenvector of L_norm = I - D^-1 A,
with the same eigenvalue. These are the eigenvectors of Algorithm 1 (Filan et al. 2021) and what
scikit-learn's ``SpectralClustering`` clusters.

Isolated neurons are masked, not deleted: their degree 0 gets D^-1/2 = 0, so that all shuffles of a
network have the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clusterability.graph import NeuronGraph
from clusterability.spectral import krylov, lapack
from clusterability.spectral.problems import BipartiteProblem, GeneralProblem
from clusterability.spectral.weak_rows import recompute_weak_rows

DENSE_SIDE = 1000
"""Up to this size of the symmetric problem LAPACK is faster on a CPU than the block iteration."""

EXACT_SIDE = 200
"""Up to this size float64 costs next to nothing."""

SMALLEST_IN_FLOAT32 = 3e-3
"""The square of a singular value below it drowns in float32's rounding of B'B."""


@dataclass(frozen=True)
class Embedding:
    """Leading non-trivial eigenpairs of L_norm.

    The first eigenpair, eigenvalue 0 with a constant vector, is known and left out: it changes
    nothing in k-means.

    Attributes:
        eigenvalues: (..., m) ascending, from the second on; float64.
        vectors: (..., n_neurons, m), y' D y = 1, rows of isolated neurons 0; float64. A column
            whose eigenvalue of M is not positive (only as many positive ones exist as the
            smaller side of the graph has independent neurons) is 0.
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
    graph: NeuronGraph, n_dimensions: int, rngs: Sequence[np.random.Generator]
) -> Embedding:
    """Compute the leading non-trivial eigenvectors of L_norm.

    Args:
        graph: one graph, or a batch of them with one leading axis.
        n_dimensions: how many eigenvectors; fewer come back if the eigenproblem is smaller.
        rngs: a generator for each graph; draws the block that the iteration starts from.

    >>> from clusterability import toy
    >>> spectral_embedding(toy.path(), 1, [np.random.default_rng(0)]).eigenvalues
    tensor([0.5000], dtype=torch.float64)
    """
    degrees = graph.degrees(torch.float64)
    problem = eigenproblem(graph, degrees)
    n_wanted = min(n_dimensions, problem.size - 1)
    if n_wanted <= 0:
        return Embedding(degrees[..., :0], degrees[..., None][..., :0], degrees)
    dtype = torch.float64 if problem.size <= EXACT_SIDE else torch.float32
    values, vectors = problem.finish(_solve(problem, n_wanted, dtype, rngs))
    if dtype == torch.float32 and bool((values[..., -1] < SMALLEST_IN_FLOAT32).any()):
        values, vectors = problem.finish(_solve(problem, n_wanted, torch.float64, rngs))
    rows = vectors * inverse_root(degrees)[..., None]
    return Embedding(1 - values, recompute_weak_rows(graph, degrees, values, rows), degrees)


def eigenproblem(graph: NeuronGraph, degrees: Tensor) -> BipartiteProblem | GeneralProblem:
    """The smallest symmetric eigenproblem that has the leading eigenvalues of the graph's M."""
    colors = graph.two_coloring()
    scale, trivial = inverse_root(degrees), degrees.sqrt()
    if colors is None:
        return GeneralProblem(graph, scale, trivial)
    return BipartiteProblem(graph, scale, trivial, colors)


def inverse_root(degrees: Tensor) -> Tensor:
    """D^-1/2, with 0 for isolated neurons; twice ``where``, else the gradient there is NaN."""
    alive = degrees > 0
    return torch.where(alive, torch.where(alive, degrees, 1).rsqrt(), 0)


def _solve(
    problem: BipartiteProblem | GeneralProblem,
    n_wanted: int,
    dtype: torch.dtype,
    rngs: Sequence[np.random.Generator],
) -> Tensor:
    """Eigenvectors (..., problem.size, n_wanted) of the problem's largest eigenvalues."""
    trivial = problem.trivial
    if problem.size <= DENSE_SIDE and trivial.device.type == "cpu" and trivial.ndim == 1:
        matrix = problem.dense(dtype).numpy()
        return torch.from_numpy(lapack.largest_eigenpairs(matrix, n_wanted)[1].copy())
    width = 8 * -(-max(16, n_wanted + 4) // 8)
    if problem.size < krylov.SMALLEST_SIDE * width:
        identity = torch.eye(problem.size, dtype=torch.float64, device=trivial.device)
        matrices = problem.apply(identity.expand(*trivial.shape[:-1], -1, -1))
        vectors: Tensor = torch.linalg.eigh(matrices)[1]
        return vectors[..., -n_wanted:].flip(-1)
    draws = [rng.standard_normal((problem.size, width), dtype=np.float32) for rng in rngs]
    noise = torch.from_numpy(np.stack(draws)).to(trivial.device, dtype)
    start = problem.start(noise.view(*trivial.shape, width))
    return krylov.largest_eigenpairs(problem.apply, start, n_wanted)[1]
