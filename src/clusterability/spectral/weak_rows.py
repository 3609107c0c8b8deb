"""Rows of the spectral embedding that belong to neurons of very small degree.

An eigenvector u of L_sym comes from its solver with an error of some 1e-6, the same for all
neurons. The embedding y = D^-1/2 u divides this error by sqrt(d_i): in a network trained with L2,
whose dead neurons keep weights of 1e-36, it grows to 1e7 where the true entry is below 1, and
k-means would cluster it. ARPACK in float64 shows the same fault at smaller degrees.

The other rows determine such rows: D^-1 A y = (1 - lambda) y is a linear system for them. Its
coefficients are shares of a neuron's strength, which do not become small with its degree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.graph import NeuronGraph
from clusterability.graph.products import matmul, transposed_matmul

WEAK = 1e-6
"""A neuron is weak if its degree is below this share of the graph's volume. At this degree the
block iteration's error of 2e-6 in u is 0.2 % of a typical row, whose entries are
1 / sqrt(volume)."""

RESOLVED = 1e-3
"""An entry of a unit eigenvector above this exceeds the solver's error and is kept. Weak neurons
have such entries where they are joined mostly to each other and have their own eigenvector."""

TOLERANCE = 1e-9
"""GMRES stops at this residual norm, relative to the right side of a column."""

STEPS = 50
"""GMRES steps before a restart. The shares among weak neurons are nearly of low rank, so that some
five steps are enough."""

RESTARTS = 10


def recompute_weak_rows(
    graph: NeuronGraph, degrees: Tensor, eigenvalues: Tensor, vectors: Tensor
) -> Tensor:
    """Replace the rows of weak neurons by the solution of the linear system that the others give.

    Args:
        graph: one graph, or a batch with one leading axis.
        degrees: (..., n_neurons) float64.
        eigenvalues: (..., m) of M = D^-1/2 A D^-1/2; columns of eigenvalues 0 are left unchanged.
        vectors: (..., n_neurons, m) float64, the embedding y = D^-1/2 u.

    Returns:
        The embedding, (..., n_neurons, m); ``vectors`` itself if no neuron is weak.
    """
    weak = (degrees > 0) & (degrees < WEAK * degrees.sum(-1, keepdim=True))
    if not bool(weak.any()):
        return vectors
    if degrees.ndim == 1:
        return _recompute(graph, weak, degrees, eigenvalues, vectors)
    flat = graph.flat_strengths()
    each = zip(weak, degrees, eigenvalues, vectors, strict=True)
    return torch.stack(
        [
            _recompute(graph.with_flat_strengths(flat[i]), *of_graph)
            for i, of_graph in enumerate(each)
        ]
    )


def _recompute(
    graph: NeuronGraph, weak: Tensor, degrees: Tensor, eigenvalues: Tensor, vectors: Tensor
) -> Tensor:
    if not bool(weak.any()):
        return vectors
    own_degrees = degrees[weak, None]
    unknown = (vectors[weak] * own_degrees.sqrt()).abs() < RESOLVED
    known = vectors.clone()
    known[weak] = torch.where(unknown, 0, vectors[weak])
    from_known = graph.product(known)[weak] / own_degrees
    shares = _SharesAmong(graph, weak, own_degrees)
    arguments = (t.cpu().numpy() for t in (eigenvalues, unknown, from_known))
    solved = torch.from_numpy(_solve(shares, *arguments)).to(known)
    known[weak] = torch.where(unknown, solved, known[weak])
    return known


def _solve(
    shares: Callable[[Tensor], Tensor],
    eigenvalues: NDArray[np.float64],
    unknown: NDArray[np.bool_],
    from_known: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve (1 - lambda) y = shares @ y + from_known for the unknown entries of each column.

    Plain iteration of this relation would diverge where weak neurons have a larger share of their
    strength among themselves than 1 - lambda; GMRES does not.

    Args:
        shares: multiplies by the weak neurons' shares of strength among themselves.
        eigenvalues: (m,) 1 - lambda.
        unknown: (n_weak, m); other entries of the solution are 0.
        from_known: (n_weak, m).

    Returns:
        (n_weak, m).
    """
    from scipy.sparse.linalg import LinearOperator, gmres

    n_weak, m = unknown.shape
    solution = np.zeros((n_weak, m))
    for column in range(m):
        rows, eigenvalue = unknown[:, column], eigenvalues[column]
        if eigenvalue <= 0 or not rows.any():
            continue

        def apply(
            y: NDArray[np.float64], rows: NDArray[np.bool_] = rows, eigenvalue: float = eigenvalue
        ) -> NDArray[np.float64]:
            image = shares(torch.from_numpy(np.where(rows, y, 0.0))[:, None])[:, 0].numpy()
            return y - np.where(rows, image, 0.0) / eigenvalue

        operator = LinearOperator((n_weak, n_weak), apply, dtype=np.float64)
        right = np.where(rows, from_known[:, column], 0.0) / eigenvalue
        found, _ = gmres(
            operator, right, rtol=TOLERANCE, restart=min(STEPS, n_weak), maxiter=RESTARTS
        )
        solution[:, column] = found
    return solution


@dataclass(frozen=True)
class _Part:
    """Strengths between the weak neurons of two layers, and the indices of these neurons."""

    sources: slice
    targets: slice
    strengths: Tensor


class _SharesAmong:
    """The operator D^-1 A restricted to the weak neurons; on the CPU, in float64."""

    def __init__(self, graph: NeuronGraph, weak: Tensor, degrees: Tensor) -> None:
        self._degrees = degrees.cpu()
        members = [part.nonzero().squeeze(1) for part in torch.split(weak, graph.layer_sizes)]
        ends = np.cumsum([0, *map(len, members)])
        self._parts = [
            _Part(
                slice(ends[b.source], ends[b.source + 1]),
                slice(ends[b.target], ends[b.target + 1]),
                b.strengths[members[b.source]][:, members[b.target]].cpu(),
            )
            for b in graph.blocks
            if len(members[b.source]) and len(members[b.target])
        ]

    def __call__(self, vectors: Tensor) -> Tensor:
        """Multiply vectors, (n_weak, m)."""
        image = torch.zeros_like(vectors)
        for part in self._parts:
            image[part.sources] += matmul(part.strengths, vectors[part.targets])
            image[part.targets] += transposed_matmul(part.strengths, vectors[part.sources])
        return image / self._degrees
