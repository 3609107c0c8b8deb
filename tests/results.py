"""Small synthetic results for the tests of what is made from results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.graph import NeuronGraph
from clusterability.result import (
    Cluster,
    Clusterability,
    Clustering,
    LayerSummary,
    NullDistribution,
)
from clusterability.settings import Settings


def planted(
    sizes: Sequence[int],
    n_clusters: int,
    noise: float = 0.2,
    density: float = 0.1,
    seed: int = 0,
    shares: Sequence[float] | None = None,
) -> tuple[NeuronGraph, NDArray[np.int64]]:
    """A chain whose strengths between clusters are ``noise`` times those within, and its labels."""
    rng = np.random.default_rng(seed)
    tags = [rng.choice(n_clusters, size, p=shares) for size in sizes]
    strengths = []
    for source, target in pairwise(tags):
        same = source[:, None] == target[None, :]
        kept = rng.random(same.shape) < density
        weights = np.abs(rng.normal(size=same.shape)) * np.where(same, 1, noise) * kept
        strengths.append(torch.tensor(weights))
    graph = NeuronGraph.chain(strengths)
    labels = np.concatenate(tags).astype(np.int64)
    labels[graph.degrees().numpy() == 0] = -1
    # label 0 is the cluster of largest volume, and none is empty
    volumes = [graph.degrees().numpy()[labels == tag].sum() for tag in range(n_clusters)]
    order = np.argsort(volumes)[::-1]
    rank = np.full(n_clusters + 1, -1)
    rank[order] = np.arange(n_clusters)
    return graph, rank[labels]


def clustering(
    graph: NeuronGraph, labels: NDArray[np.int64], null: Sequence[float] = (), shift: float = 0.0
) -> Clustering:
    """The record of one partition, its n-cut moved by ``shift`` to play the refined one."""
    adjacency = graph.to_scipy()
    degrees = adjacency.sum(axis=0)
    clusters = []
    for label in range(labels.max() + 1):
        inside = labels == label
        volume = degrees[inside].sum()
        within = adjacency[inside][:, inside].sum()
        counts = [
            int(inside[a:b].sum()) for a, b in zip(graph.offsets, graph.offsets[1:], strict=False)
        ]
        share = float(volume / degrees.sum())
        cut = float((volume - within) / volume)
        clusters.append(Cluster(int(inside.sum()), share, cut, tuple(counts)))
    ncut = sum(cluster.cut for cluster in clusters) + shift
    shares = np.array([cluster.volume_share for cluster in clusters])
    spread = float(np.std(null)) if len(null) else 0.0
    return Clustering(
        ncut=ncut,
        p_value=(sum(v <= ncut for v in null) + 1) / (len(null) + 1) if len(null) else None,
        z_score=float((ncut - np.mean(null)) / spread) if spread else None,
        null=NullDistribution(tuple(sorted(null))) if len(null) else None,
        effective_clusters=float(np.exp(-(shares * np.log(shares)).sum())),
        labels=labels,
        clusters=tuple(clusters),
    )


def result_of(
    graph: NeuronGraph,
    labels: NDArray[np.int64],
    null: Sequence[float] = (),
    refined_null: Sequence[float] | None = None,
    network: str = "mlp.pt",
    n_components: int = 1,
    warnings: Sequence[str] = (),
    eigenvalues: Sequence[float] = (0.0, 0.3, 0.4, 0.7),
    shift: float = 0.0,
    **choices: object,
) -> Clusterability:
    plain = clustering(graph, labels, null)
    refined = clustering(graph, labels, null if refined_null is None else refined_null, shift)
    isolated = graph.degrees().detach().numpy() == 0
    bounds = list(pairwise(graph.offsets))
    layers = tuple(
        LayerSummary(layer.name, layer.n_neurons, int(isolated[a:b].sum()))
        for layer, (a, b) in zip(graph.layers, bounds, strict=True)
    )
    k = len(plain.clusters)
    return Clusterability(
        network=network,
        plain=plain,
        refined=refined,
        lower_bound=float(sum(eigenvalues[:k])),
        eigenvalues=tuple(eigenvalues),
        layers=layers,
        n_components=n_components,
        warnings=tuple(warnings),
        settings=Settings(n_clusters=max(k, 2), n_shuffles=len(null), **choices),
        n_init=25,
        n_init_policy="25 up to 2,000 neurons, 100 above",
        version="0.1.0",
        device="cpu",
        seconds={"total": 1.0},
        graph=graph,
    )


def small_result(**options: object) -> Clusterability:
    """A 4-3-2 network of two clusters with one isolated neuron, without shuffles by default."""
    strengths = [
        torch.tensor([[2.0, 0.1, 0.0], [1.5, 0.0, 0.0], [0.1, 3.0, 0.0], [0.0, 1.0, 0.0]]),
        torch.tensor([[1.0, 0.2], [0.0, 2.0], [0.0, 0.0]]),
    ]
    graph = NeuronGraph.chain(strengths, ["pixels", "hidden", "logits"])
    labels = np.array([1, 1, 0, 0, 1, 0, -1, 1, 0], dtype=np.int64)
    return result_of(graph, labels, **options)  # type: ignore[arg-type]
