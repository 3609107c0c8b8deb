"""A lower bound on the n-cut of all partitions, from the leading eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clusterability.graph import NeuronGraph
from clusterability.spectral.embedding import spectral_embedding
from clusterability.spectral.problems import SMALLEST_EIGENVALUE
from clusterability.spectral.solvers import Solver


@dataclass(frozen=True)
class Spectrum:
    """The leading eigenvalues of a graph's L_norm, and a bound on their errors.

    Attributes:
        eigenvalues: ascending from the trivial 0.
        residual: norm of M V - V Theta. The true eigenvalues are lower by at most this much, on
            average.
    """

    eigenvalues: tuple[float, ...]
    residual: float

    def lower_bound(self, n_clusters: int) -> float:
        """Return a lower bound on the n-cut of every partition into parts of positive volume.

        The n-cut is the trace of H' L_sym H for an orthonormal H, so the sum of the ``n_clusters``
        smallest eigenvalues bounds it. Computed eigenvalues come from a subspace and are never
        below the true ones, so the residual is subtracted for each. An eigenvalue of L that was
        computed as 1, or was not computed, is at least 1 - ``SMALLEST_EIGENVALUE``.
        """
        known = np.array(self.eigenvalues[:n_clusters])
        unknown = np.count_nonzero(known == 1) + n_clusters - len(known)
        total = known.sum() + (n_clusters - len(known)) - unknown * SMALLEST_EIGENVALUE
        return float(max(0.0, total - (len(known) - 1) * self.residual - 1e-9))


def spectrum(
    graph: NeuronGraph,
    n_eigenvalues: int,
    rng: np.random.Generator,
    solver: Solver | None = None,
) -> Spectrum:
    """Compute the leading eigenvalues of L_norm and their residual.

    The residual bounds the error only if no eigenvalue was missed altogether. LAPACK misses none;
    the block iteration starts at random and misses one with probability 0.

    Args:
        graph: one graph.
        n_eigenvalues: number of eigenvalues, the trivial 0 included.
        rng: draws the block that the iteration starts from.
        solver: as for :func:`~clusterability.spectral.embedding.spectral_embedding`.

    Raises:
        InputError: if ``graph`` is a batch.
    """
    graph.check_single()
    embedding = spectral_embedding(graph, n_eigenvalues - 1, [rng], solver)
    roots = embedding.degrees.sqrt()[:, None]
    vectors = embedding.vectors * roots
    image = graph.product(embedding.vectors) / torch.where(roots > 0, roots, 1)
    kept = (1 - embedding.eigenvalues) > 0
    residual = torch.linalg.vector_norm((image - vectors * (1 - embedding.eigenvalues))[:, kept])
    return Spectrum((0.0, *embedding.eigenvalues.tolist()), float(residual))
