"""How far clusterings of the same neurons agree, and the clustering that most of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.int64]


def adjusted_rand_index(first: Labels, second: Labels) -> float:
    """Return the adjusted Rand index of two clusterings: 1 if they are the same, about 0 by chance.

    (sum_ij C(n_ij, 2) - e) / ((a + b) / 2 - e), with n_ij the neurons in cluster i of one and j of
    the other, a and b the pairs of neurons within clusters of each, and e = a b / C(n, 2) expected
    by chance (Hubert and Arabie 1985). Neurons that either leaves out do not count.

    Args:
        first, second: (n_neurons,) labels, negative where a neuron is in no cluster.

    >>> adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    """
    table = _shared(first, second)
    n = float(table.sum())
    together, a, b = _pairs(table), _pairs(table.sum(1)), _pairs(table.sum(0))
    expected = a * b / max(n * (n - 1) / 2, 1)
    span = (a + b) / 2 - expected
    return 1.0 if span == 0 else (together - expected) / span


def _shared(first: Labels, second: Labels) -> NDArray[np.int64]:
    """Return the number of neurons in each cluster of one and of the other."""
    both = (first >= 0) & (second >= 0)
    table = np.zeros((int(first.max(initial=0)) + 1, int(second.max(initial=0)) + 1), np.int64)
    np.add.at(table, (first[both], second[both]), 1)
    return table


def _pairs(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1) / 2).sum())


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far several clusterings of the same neurons agree.

    Attributes:
        indices: adjusted Rand index of each pair.
        labels: (n_neurons,) consensus: the clusters of each are matched to those of the one that
            agrees best with the others, and a neuron is where most have it. They are
            numbered like those of the first.
        shares: (n_neurons,) share of the clusterings that have a neuron in its consensus cluster;
            0 where it is in none.

    >>> labels = [np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([0, 0, 0, 1])]
    >>> found = agreement(labels)
    >>> found.labels.tolist(), found.shares.round(2).tolist(), round(found.mean, 3)
    ([0, 0, 1, 1], [1.0, 1.0, 0.67, 1.0], 0.333)
    """

    indices: tuple[float, ...]
    labels: Labels
    shares: NDArray[np.float64]

    @property
    def mean(self) -> float:
        return float(np.mean(self.indices))


def agreement(clusterings: Sequence[Labels]) -> Agreement:
    """Compare clusterings of the same neurons, two or more, with the same number of clusters."""
    n = len(clusterings)
    indices = np.eye(n)
    for i, j in combinations(range(n), 2):
        indices[i, j] = indices[j, i] = adjusted_rand_index(clusterings[i], clusterings[j])
    n_clusters = 1 + max(int(labels.max(initial=0)) for labels in clusterings)
    model = renumbered(clusterings[int(indices.sum(1).argmax())], clusterings[0], n_clusters)
    votes = np.zeros((model.size, n_clusters), np.int64)
    for labels in clusterings:
        numbered = renumbered(labels, model, n_clusters)
        alive = np.flatnonzero(numbered >= 0)
        votes[alive, numbered[alive]] += 1
    consensus = np.where(votes.any(1), votes.argmax(1), -1)
    pairs = tuple(float(indices[i, j]) for i, j in combinations(range(n), 2))
    return Agreement(pairs, consensus, votes.max(1) / n)


def renumbered(labels: Labels, like: Labels, n_clusters: int) -> Labels:
    """Number clusters like those of another clustering with which they share most neurons."""
    table = np.zeros((n_clusters, n_clusters), np.int64)
    part = _shared(labels, like)
    table[: part.shape[0], : part.shape[1]] = part
    numbers = linear_sum_assignment(table, maximize=True)[1]
    return np.where(labels >= 0, numbers[labels], -1)
