"""The pipeline that the paper describes, from public libraries and nothing else.

SciPy adjacency, scikit-learn's spectral clustering with ARPACK, n-cut, and NumPy shuffles: what
anybody would write first, and what the fast one is held against in tests and benchmarks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Blocks = Sequence[NDArray[np.floating]]

Clusterer = Callable[[sp.csr_matrix, int, int, int], NDArray[np.int32]]
"""From an adjacency matrix, number of clusters, of starts, and seed, to labels."""


def adjacency(blocks: Blocks) -> sp.csr_matrix:
    """Adjacency of a chain from its (n_source, n_target) blocks, isolated neurons dropped."""
    n_layers = len(blocks) + 1
    grid: list[list[sp.csr_matrix | None]] = [[None] * n_layers for _ in range(n_layers)]
    for i, block in enumerate(blocks):
        upper = sp.csr_matrix(block, dtype=np.float64)
        grid[i][i + 1], grid[i + 1][i] = upper, upper.T
    whole = sp.bmat(grid, format="csr")
    alive = np.asarray(whole.sum(1)).ravel() > 0
    return whole[alive][:, alive]


def drop_isolated(blocks: Blocks) -> list[NDArray[np.floating]]:
    """Blocks without the rows and columns of neurons that have no connection at all."""
    degrees: list[NDArray[np.floating]] = [np.zeros(blocks[0].shape[0])]
    degrees += [np.zeros(block.shape[1]) for block in blocks]
    for i, block in enumerate(blocks):
        degrees[i] = degrees[i] + block.sum(1)
        degrees[i + 1] = degrees[i + 1] + block.sum(0)
    return [b[degrees[i] > 0][:, degrees[i + 1] > 0] for i, b in enumerate(blocks)]


def shuffle(blocks: Blocks, rng: np.random.Generator) -> list[NDArray[np.floating]]:
    """Permute all entries of each block."""
    return [rng.permutation(block.ravel()).reshape(block.shape) for block in blocks]


def cluster(
    matrix: sp.csr_matrix,
    n_clusters: int,
    n_init: int,
    seed: int,
    *,
    eigen_solver: str = "arpack",
    assign_labels: str = "kmeans",
) -> NDArray[np.int32]:
    """Cluster by Algorithm 1 as the paper ran it, or by others of scikit-learn's solvers."""
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(
        n_clusters,
        eigen_solver=eigen_solver,
        affinity="precomputed",
        assign_labels=assign_labels,
        n_init=n_init,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # graphs that are not connected
        labels: NDArray[np.int32] = model.fit(matrix).labels_
        return labels


def normalized_cut(matrix: sp.csr_matrix, labels: NDArray[np.integer]) -> float:
    """Sum over clusters of W(X, not X) / vol(X)."""
    degrees = np.asarray(matrix.sum(1)).ravel()
    total = 0.0
    for label in np.unique(labels):
        inside = labels == label
        volume = degrees[inside].sum()
        total += (volume - matrix[inside][:, inside].sum()) / volume
    return total


def ncut(
    blocks: Blocks,
    n_clusters: int = 12,
    n_init: int = 25,
    seed: int = 0,
    clusterer: Clusterer = cluster,
) -> float:
    """From blocks to the n-cut."""
    matrix = adjacency(blocks)
    return normalized_cut(matrix, clusterer(matrix, n_clusters, n_init, seed))


def shuffled_ncut(
    blocks: Blocks,
    n_clusters: int = 12,
    n_init: int = 25,
    seed: int = 0,
    clusterer: Clusterer = cluster,
) -> float:
    """The n-cut of one shuffle; isolated neurons are dropped before it, as published."""
    shuffled = shuffle(drop_isolated(blocks), np.random.default_rng(seed))
    return ncut(shuffled, n_clusters, n_init, seed, clusterer)
