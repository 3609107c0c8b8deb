"""Evaluate one graph, the observed one or a shuffle: embed, cluster, refine.

The observed graph and its shuffles run through the same code and differ only in their random
numbers; the p-value is valid for that reason. The local search has two starts: the labels of
k-means, and those of k-means weighted by degree on the same embedding, the relaxed form of the
n-cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.clustering.kmeans import draw_starts, fill_empty, kmeans
from clusterability.clustering.kmeans_batch import kmeans_batch
from clusterability.clustering.refinement import Refined, offset_ncut, refine_from
from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.graph.canonical import canonical, ties
from clusterability.graph.ends import only_layers
from clusterability.graph.packed import PackedGraph, pack
from clusterability.graph.sparse import SparseGraph, without_zeros
from clusterability.nulls.ties import follow_wholes
from clusterability.registries import NULLS
from clusterability.settings import Settings
from clusterability.spectral.embedding import Embedding, spectral_embedding
from clusterability.workers import parallel_map

N_WEIGHTED = 5
"""Starts of the weighted k-means: a single start can miss a lower n-cut by unlucky seeding."""

GPU_MEMORY_SHARE = 0.25
"""A batch's strengths may take this share of a GPU's free memory; products need as much again."""


@dataclass(frozen=True)
class Draw:
    """One graph to evaluate: the observed one or a shuffle, with its own random numbers."""

    seed: np.random.SeedSequence
    shuffled: bool

    def generators(self) -> tuple[np.random.Generator, ...]:
        """Return independent generators for shuffle, eigenvectors, k-means, weighted k-means."""
        entropy, key = self.seed.entropy, self.seed.spawn_key
        children = (np.random.SeedSequence(entropy, spawn_key=(*key, i)) for i in range(4))
        return tuple(np.random.default_rng(child) for child in children)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """n-cuts and labels of one graph, and the seconds that each step took.

    ``labels`` and ``refined.labels`` are (n_neurons,) int32, -1 where isolated.
    """

    labels: NDArray[np.int32]
    refined: Refined
    seconds: dict[str, float] = field(default_factory=dict)


class _Timer:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now


def evaluate(graph: NeuronGraph, settings: Settings, draw: Draw) -> Evaluation:
    """Evaluate one graph on the CPU, in the calling thread.

    Args:
        graph: the observed graph, on the CPU, in float32, its strengths lying flat.
        settings: the choices, with ``n_init`` given and ``volume_offset`` in the graph's scale.
        draw: whether to shuffle first, and the random numbers.
    """
    return evaluate_each(graph, [settings], draw)[0]


def evaluate_each(graph: NeuronGraph, each: Sequence[Settings], draw: Draw) -> list[Evaluation]:
    """Evaluate one graph for several numbers of clusters; it is shuffled and embedded once.

    Args:
        graph: as of :func:`evaluate`.
        each: as its settings; they differ in ``n_clusters`` alone.
        draw: as of :func:`evaluate`; each number of clusters has the same random numbers.
    """
    timer = _Timer()
    shuffle_rng, eigenvector_rng, *_ = draw.generators()
    drawn = _drawn(graph, each[0], draw, shuffle_rng)
    timer.lap("shuffle")
    n_dimensions = max(settings.n_clusters for settings in each) - 1
    sparse = without_zeros(drawn)
    embedding = spectral_embedding(drawn, n_dimensions, [eigenvector_rng], sparse=sparse)
    timer.lap("eigenvectors")
    packed = sparse or pack(drawn)
    shared = timer.seconds
    evaluations = []
    for settings in each:
        timer.seconds = dict(shared)
        evaluations.append(_cluster(packed, embedding, settings, draw, timer))
    return evaluations


def _cluster(
    packed: PackedGraph | SparseGraph,
    embedding: Embedding,
    settings: Settings,
    draw: Draw,
    timer: _Timer,
) -> Evaluation:
    """Cluster and refine an embedded graph; a longer embedding's first eigenvectors count."""
    *_, kmeans_rng, weighted_rng = draw.generators()
    alive = (embedding.degrees > 0).numpy()
    labels = np.full(alive.size, -1, np.int32)
    weighted_labels = labels.copy()
    points = embedding.vectors[:, : settings.n_clusters - 1].numpy()[alive]
    degrees = embedding.degrees.numpy()
    starts = draw_starts(kmeans_rng, _n_init(settings), settings.n_clusters)
    labels[alive] = kmeans(points, starts)
    timer.lap("kmeans")
    starts = draw_starts(weighted_rng, N_WEIGHTED, settings.n_clusters)
    weighted_labels[alive] = kmeans(points, starts, degrees[alive])
    refined = _refine(packed, degrees, (labels, weighted_labels), settings)
    timer.lap("refinement")
    return Evaluation(labels, refined, timer.seconds)


def _drawn(
    graph: NeuronGraph, settings: Settings, draw: Draw, rng: np.random.Generator
) -> NeuronGraph:
    """Return the graph or a shuffle of it, made what is clustered: scaled, if it is to be."""
    drawn = _draw_shuffle(graph, settings.null, rng) if draw.shuffled else graph
    if settings.scaling == "raw":
        return drawn
    return only_layers(canonical(drawn, ties(graph)), settings.layers)


def evaluate_batch(
    graph: NeuronGraph,
    settings: Settings,
    draws: Sequence[Draw],
    device: torch.device,
    n_workers: int,
    progress: str | None = None,
) -> list[Evaluation]:
    """Evaluate several graphs with eigenvectors and k-means batched on a device.

    Shuffling and refinement run on the CPU, as both are sequential over strengths. The random
    numbers are those of :func:`evaluate`.
    """
    evaluations: list[Evaluation] = []
    size = batch_size(graph, len(draws), device)
    for first in range(0, len(draws), size):
        part = draws[first : first + size]
        evaluations += _evaluate_together(graph, settings, part, device, n_workers, progress)
    return evaluations


def _draw_shuffle(graph: NeuronGraph, null: str, rng: np.random.Generator) -> NeuronGraph:
    """Draw a graph from the null model, and refuse one that cannot be measured.

    Raises:
        InputError: that names the null model.
    """
    drawn = NULLS[null](graph, rng)
    if not isinstance(drawn, NeuronGraph) or drawn.layer_sizes != graph.layer_sizes:
        kind = type(drawn).__name__
        raise InputError(
            f"the null model {null!r} returned a {kind}, expected a NeuronGraph of the same layers"
        )
    extremes = [torch.stack(torch.aminmax(block.strengths)) for block in drawn.blocks]
    lowest, highest = torch.stack(extremes).T.tolist() if extremes else ([0.0], [0.0])
    if not (min(lowest) >= 0 and 0 < max(highest) < math.inf):
        raise InputError(
            f"the null model {null!r} returned strengths from {min(lowest):g} to {max(highest):g}, "
            "expected finite ones, none negative and one positive"
        )
    return follow_wholes(graph, drawn)


def _evaluate_together(
    graph: NeuronGraph,
    settings: Settings,
    draws: Sequence[Draw],
    device: torch.device,
    n_workers: int,
    progress: str | None,
) -> list[Evaluation]:
    timer = _Timer()
    generators = [draw.generators() for draw in draws]
    drawn = parallel_map(
        lambda i: _drawn(graph, settings, draws[i], generators[i][0]),
        range(len(draws)),
        n_workers,
    )
    timer.lap("shuffle")
    stacked = torch.stack([g.flat_strengths() for g in drawn]).to(device)
    batch = drawn[0].with_flat_strengths(stacked)
    embedding = spectral_embedding(batch, settings.n_clusters - 1, [g[1] for g in generators])
    timer.lap("eigenvectors")
    k = settings.n_clusters
    labels = _cluster_together(embedding, [g[2] for g in generators], k, _n_init(settings))
    timer.lap("kmeans")
    weighted_labels = _cluster_together(
        embedding, [g[3] for g in generators], k, N_WEIGHTED, embedding.degrees
    )
    degrees = embedding.degrees.cpu().numpy()
    refined = parallel_map(
        lambda i: _refine(
            without_zeros(drawn[i]) or pack(drawn[i]),
            degrees[i],
            (labels[i], weighted_labels[i]),
            settings,
        ),
        range(len(draws)),
        n_workers,
        progress,
    )
    timer.lap("refinement")
    share = {step: spent / len(draws) for step, spent in timer.seconds.items()}
    return [Evaluation(labels[i], refined[i], share) for i in range(len(draws))]


def _cluster_together(
    embedding: Embedding,
    rngs: Sequence[np.random.Generator],
    n_clusters: int,
    n_init: int,
    weights: Tensor | None = None,
) -> NDArray[np.int32]:
    """Return k-means labels of a batch, (n_graphs, n_neurons), -1 where isolated."""
    starts = np.stack([draw_starts(rng, n_init, n_clusters) for rng in rngs])
    on_device = torch.from_numpy(starts).to(embedding.vectors.device)
    found = kmeans_batch(embedding.vectors, embedding.degrees > 0, on_device, weights)
    labels: NDArray[np.int32] = found.cpu().numpy()
    for row in labels:
        fill_empty(row, n_clusters)
    return labels


def _refine(
    packed: PackedGraph | SparseGraph,
    degrees: NDArray[np.float64],
    starts: Sequence[NDArray[np.int32]],
    settings: Settings,
) -> Refined:
    """Refine the first of the starts; an offset to the volumes changes n-cuts, but no labels."""
    n_clusters, offset = settings.n_clusters, settings.volume_offset
    refined = refine_from(packed, degrees, starts, n_clusters)
    if not offset:
        return refined
    return replace(
        refined,
        ncut=offset_ncut(packed, degrees, starts[0], n_clusters, offset),
        refined_ncut=offset_ncut(packed, degrees, refined.labels, n_clusters, offset),
    )


def batch_size(graph: NeuronGraph, n_draws: int, device: torch.device) -> int:
    """Return the number of graphs that fit on the device at once."""
    if device.type != "cuda":
        return n_draws
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(n_draws, int(GPU_MEMORY_SHARE * free / (4 * graph.n_strengths))))


def _n_init(settings: Settings) -> int:
    assert settings.n_init is not None, "the starts depend on the network's size: decide them first"
    return settings.n_init
