"""A lower bound on the n-cut of all partitions, from the leading eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clusterability.graph import NeuronGraph
from clusterability.spectral.embedding import spectral_embedding
from clusterability.spectral.problems import SMALLEST_EIGENVALUE


@dataclass(frozen=True)
class Spectrum:
    """The leading eigenvalues of a graph's L_norm, and how far they can be trusted.

    Attributes:
        eigenvalues: ascending from the trivial 0.
        residual: norm of M V - V Theta; the true eigenvalues, summed, are lower than these by at
            most this much each.
    """

    eigenvalues: tuple[float, ...]
    residual: float

    def lower_bound(self, n_clusters: int) -> float:
        """The n-cut of no partition into ``n_clusters`` parts of positive volume is below this.

        n-cut is the trace of H' L_sym H for an orthonormal H, so the sum of the smallest
        eigenvalues bounds it. Computed eigenvalues of L come from a subspace and are never below
        the true ones; the residual is subtracted for that. Where M's eigenvalue
        cannot be told from 0, or is negative, L's is at least 1 less that threshold.
        """
        known = np.array(self.eigenvalues[:n_clusters])
        unknown = np.count_nonzero(known == 1) + n_clusters - len(known)
        total = known.sum() + (n_clusters - len(known)) - unknown * SMALLEST_EIGENVALUE
        return float(max(0.0, total - (len(known) - 1) * self.residual - 1e-9))


def spectrum(graph: NeuronGraph, n_eigenvalues: int, rng: np.random.Generator) -> Spectrum:
    """Compute the leading eigenvalues of L_norm and their residual.

    The residual bounds what the iteration has left over if it missed no eigenvalue altogether. Up
    to the size that LAPACK solves directly it cannot; beyond, from a random start, it does with
    probability 0.

    Raises:
        InputError: if it is a batch of graphs.
    """
    graph.check_single()
    embedding = spectral_embedding(graph, n_eigenvalues - 1, [rng])
    roots = embedding.degrees.sqrt()[:, None]
    vectors = embedding.vectors * roots
    image = graph.product(embedding.vectors) / torch.where(roots > 0, roots, 1)
    kept = (1 - embedding.eigenvalues) > 0
    residual = torch.linalg.vector_norm((image - vectors * (1 - embedding.eigenvalues))[:, kept])
    return Spectrum((0.0, *embedding.eigenvalues.tolist()), float(residual))
