"""What happens to the observed network and to each shuffle alike: embed, cluster, refine.

Both pass through this code with independent random numbers and nothing else between them; the
p-value rests on that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.clustering.kmeans import draw_starts, fill_empty, kmeans
from clusterability.clustering.kmeans_batch import kmeans_batch
from clusterability.clustering.refinement import Refined, offset_ncut, refine
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import pack
from clusterability.nulls.shuffles import NULLS
from clusterability.settings import Settings
from clusterability.spectral.embedding import spectral_embedding
from clusterability.workers import parallel_map

GPU_MEMORY_SHARE = 0.25
"""Share of a GPU's free memory that a batch's strengths may take; products need as much again."""


@dataclass(frozen=True)
class Draw:
    """One graph to evaluate: the observed one or a shuffle, with its own random numbers."""

    seed: np.random.SeedSequence
    shuffled: bool

    def generators(self) -> tuple[np.random.Generator, ...]:
        """For the shuffle, the eigenvectors and k-means: how much one draws moves no other."""
        entropy, key = self.seed.entropy, self.seed.spawn_key
        children = (np.random.SeedSequence(entropy, spawn_key=(*key, i)) for i in range(3))
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
        settings: what to do, with ``n_init`` given and ``volume_offset`` in the graph's scale.
        draw: whether to shuffle first, and the random numbers.
    """
    timer = _Timer()
    shuffle_rng, eigenvector_rng, kmeans_rng = draw.generators()
    drawn = NULLS[settings.null](graph, shuffle_rng) if draw.shuffled else graph
    timer.lap("shuffle")
    embedding = spectral_embedding(drawn, settings.n_clusters - 1, [eigenvector_rng])
    timer.lap("eigenvectors")
    alive = (embedding.degrees > 0).numpy()
    labels = np.full(graph.n_neurons, -1, np.int32)
    points = embedding.vectors.numpy()[alive]
    starts = draw_starts(kmeans_rng, _n_init(settings), settings.n_clusters)
    labels[alive] = kmeans(points, starts)
    timer.lap("kmeans")
    degrees = embedding.degrees.numpy()
    refined = _refined(drawn, degrees, labels, settings)
    timer.lap("refinement")
    return Evaluation(labels, refined, timer.seconds)


def evaluate_batch(
    graph: NeuronGraph,
    settings: Settings,
    draws: Sequence[Draw],
    device: torch.device,
    n_workers: int,
    progress: str | None = None,
) -> list[Evaluation]:
    """Evaluate several graphs with eigenvectors and k-means batched on a device.

    Shuffles are made and refined on the CPU: both go from one strength to the next. They come from
    the same random numbers as :func:`evaluate`'s.
    """
    evaluations: list[Evaluation] = []
    size = _batch_size(graph, len(draws), device)
    for first in range(0, len(draws), size):
        part = draws[first : first + size]
        evaluations += _evaluate_together(graph, settings, part, device, n_workers, progress)
    return evaluations


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
        lambda i: NULLS[settings.null](graph, generators[i][0]) if draws[i].shuffled else graph,
        range(len(draws)),
        n_workers,
    )
    timer.lap("shuffle")
    stacked = torch.stack([g.flat_strengths() for g in drawn]).to(device)
    batch = graph.with_flat_strengths(stacked)
    embedding = spectral_embedding(batch, settings.n_clusters - 1, [g[1] for g in generators])
    timer.lap("eigenvectors")
    alive = embedding.degrees > 0
    n_init, n_clusters = _n_init(settings), settings.n_clusters
    starts = np.stack([draw_starts(g[2], n_init, n_clusters) for g in generators])
    labels = kmeans_batch(embedding.vectors, alive, torch.from_numpy(starts).to(device))
    all_labels, degrees = labels.cpu().numpy(), embedding.degrees.cpu().numpy()
    for row in all_labels:
        fill_empty(row, settings.n_clusters)
    timer.lap("kmeans")
    refined = parallel_map(
        lambda i: _refined(drawn[i], degrees[i], all_labels[i], settings),
        range(len(draws)),
        n_workers,
        progress,
    )
    timer.lap("refinement")
    share = {step: spent / len(draws) for step, spent in timer.seconds.items()}
    return [Evaluation(all_labels[i], refined[i], share) for i in range(len(draws))]


def _refined(
    graph: NeuronGraph,
    degrees: NDArray[np.float64],
    labels: NDArray[np.int32],
    settings: Settings,
) -> Refined:
    """Refine the labels; only the n-cuts of what comes out know of an offset to the volumes."""
    packed, n_clusters, offset = pack(graph), settings.n_clusters, settings.volume_offset
    refined = refine(packed, degrees, labels, n_clusters)
    if not offset:
        return refined
    return replace(
        refined,
        ncut=offset_ncut(packed, degrees, labels, n_clusters, offset),
        refined_ncut=offset_ncut(packed, degrees, refined.labels, n_clusters, offset),
    )


def _batch_size(graph: NeuronGraph, n_draws: int, device: torch.device) -> int:
    """How many graphs fit on the device at once."""
    if device.type != "cuda":
        return n_draws
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(n_draws, int(GPU_MEMORY_SHARE * free / (4 * graph.n_strengths))))


def _n_init(settings: Settings) -> int:
    assert settings.n_init is not None, "the starts depend on the network's size: decide them first"
    return settings.n_init
