"""Summaries of labels and n-cuts as the records of a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.clustering.sums import cluster_sums
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import PackedGraph
from clusterability.graph.paths import clusters_with_path
from clusterability.result import Cluster, Clustering, NullDistribution
from clusterability.significance import p_value, z_score


def number_by_volume(degrees: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a new number for each label, by falling volume; empty clusters come last."""
    connected = labels >= 0
    volumes = np.bincount(labels[connected], degrees[connected])
    order = np.argsort(-volumes, kind="stable")
    numbers = np.empty(volumes.size, np.int64)
    numbers[order] = np.arange(volumes.size)
    return numbers


def effective_clusters(degrees: NDArray[np.float64], labels: NDArray[np.int32]) -> float:
    """Return exp(entropy) of the clusters' shares of the volume; labels without gaps, or -1."""
    volumes = np.bincount(labels[labels >= 0], weights=degrees[labels >= 0])
    return _effective(volumes / volumes.sum())


def _effective(shares: NDArray[np.float64]) -> float:
    return float(np.exp(-np.sum(shares * np.log(shares))))


def summarize(
    graph: NeuronGraph,
    packed: PackedGraph,
    degrees: NDArray[np.float64],
    labels: NDArray[np.int64],
    ncut: float,
    null: Sequence[float],
    volume_offset: float = 0.0,
) -> Clustering:
    """Compute the record of one clustering.

    Args:
        graph: the whole observed graph.
        packed: the same graph.
        degrees: (n_neurons,) its degrees.
        labels: (n_neurons,) from 0 without gaps, -1 where isolated.
        ncut: n-cut of the labels.
        null: n-cuts of the shuffles, possibly none.
        volume_offset: offset of the given n-cuts, in the scale of the graph's strengths.
    """
    n_clusters = int(labels.max()) + 1
    volumes, inside = cluster_sums(packed, degrees, labels.astype(np.int32), n_clusters)
    shares = volumes / volumes.sum()
    layers = np.repeat(np.arange(len(graph.layers)), graph.layer_sizes)
    counts = np.zeros((n_clusters, len(graph.layers)), int)
    np.add.at(counts, (labels[labels >= 0], layers[labels >= 0]), 1)
    paths = clusters_with_path(graph, torch.from_numpy(labels), n_clusters)
    clusters = tuple(
        Cluster(
            size=int(counts[c].sum()),
            volume_share=float(shares[c]),
            cut=float(np.clip((volumes[c] - inside[c]) / (volumes[c] + volume_offset), 0, 1)),
            neurons_per_layer=tuple(counts[c].tolist()),
            has_path=None if paths is None else bool(paths[c]),
        )
        for c in range(n_clusters)
    )
    return Clustering(
        ncut=ncut,
        p_value=p_value(ncut, null),
        z_score=z_score(ncut, null),
        null=NullDistribution(tuple(null)) if len(null) else None,
        effective_clusters=_effective(shares),
        labels=labels,
        clusters=clusters,
    )
