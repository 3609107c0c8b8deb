"""What do other starts do to the refined n-cut, to that of shuffles, and to the time?

    python benchmarks/second_start.py NETWORK... [--seeds 20] [--shuffles 50] [--json PATH]

The local search sets out from the labels of k-means, and from those of a k-means that weights
neurons by their degree; the lower n-cut counts. For each network (a file,
``example:fashion-mnist-mlp``, or ``vgg16`` for random channel strengths in the shape of VGG-16):
the refined n-cut without the second start and with it, over the seeds and over the shuffles, for
several numbers of starts of the weighted k-means, and the processor's time with it over that
without it, in one thread. A third start, which the package does not have, is the discretized
rotation of the eigenvectors (Yu and Shi 2003), scikit-learn's ``assign_labels="discretize"``.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability import NeuronGraph
from clusterability.clustering.kmeans import draw_starts, fill_empty, kmeans
from clusterability.clustering.refinement import refine
from clusterability.conventions import CONVENTIONS
from clusterability.evaluation import N_WEIGHTED, Draw, evaluate
from clusterability.experiments.environment import environment
from clusterability.graph.packed import pack
from clusterability.nulls.isolated import without_isolated
from clusterability.registries import NULLS
from clusterability.settings import Settings
from clusterability.spectral.embedding import spectral_embedding
from clusterability.workers import single_threaded_libraries
from graphs import load

NUMBERS_OF_STARTS = (1, 3, 5, 10, 25)
N_CLUSTERS = 12
MOST_ROTATIONS = 30
"""As in scikit-learn."""


@dataclass(frozen=True)
class Searches:
    """The n-cuts that one graph's local searches end in, and the seconds that they take.

    Attributes:
        plain: n-cut of k-means.
        before: n-cut after the search from the labels of k-means alone.
        after: the lower of this and of the search from weighted k-means, by number of starts.
        seconds: the processor's, for everything but the second start.
        extra_seconds: the same for the second start, by number of starts.
        discretized: n-cut after the lowest of the two searches and one from discretized labels.
        discretized_seconds: the processor's, for that third search and its start.
    """

    plain: float
    before: float
    after: dict[int, float]
    seconds: float
    extra_seconds: dict[int, float]
    discretized: float
    discretized_seconds: float


def search(graph: NeuronGraph, settings: Settings, draw: Draw) -> Searches:
    """Do what ``evaluate`` does, with each number of starts of the weighted k-means."""
    k, started = settings.n_clusters, process_time()
    shuffle_rng, eigenvector_rng, kmeans_rng, _ = draw.generators()
    drawn = NULLS[settings.null](graph, shuffle_rng) if draw.shuffled else graph
    embedding = spectral_embedding(drawn, k - 1, [eigenvector_rng])
    degrees, packed = embedding.degrees.numpy(), pack(drawn)
    alive = degrees > 0
    points, labels = embedding.vectors.numpy()[alive], np.full(degrees.size, -1, np.int32)
    labels[alive] = kmeans(points, draw_starts(kmeans_rng, settings.n_init, k))
    found = refine(packed, degrees, labels, k)
    seconds = process_time() - started
    after, extra_seconds = {}, {}
    for n_init in NUMBERS_OF_STARTS:
        started = process_time()
        starts = draw_starts(draw.generators()[3], n_init, k)
        labels[alive] = kmeans(points, starts, degrees[alive])
        other = refine(packed, degrees, labels, k)
        extra_seconds[n_init] = process_time() - started
        after[n_init] = min(found.refined_ncut, other.refined_ncut)
    started = process_time()
    third = labels.copy()
    third[alive] = discretize(points, degrees[alive])
    fill_empty(third, k)
    discretized = min(after[N_WEIGHTED], refine(packed, degrees, third, k).refined_ncut)
    times = (extra_seconds, discretized, process_time() - started)
    return Searches(found.ncut, found.refined_ncut, after, seconds, *times)


def discretize(points: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return labels by the rotation that brings the eigenvectors nearest to an indicator matrix.

    Args:
        points: (n, k - 1) eigenvectors, without the constant one.
        degrees: (n,).
    """
    constant = np.full((len(points), 1), degrees.sum() ** -0.5)
    rows = np.hstack([constant, points])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    k, seen = rows.shape[1], np.zeros(len(rows))
    rotation = np.zeros((k, k))
    rotation[:, 0] = rows[len(rows) // 2]
    for i in range(1, k):
        seen += np.abs(rows @ rotation[:, i - 1])
        rotation[:, i] = rows[seen.argmin()]
    labels, alignment = np.zeros(len(rows), np.int32), 0.0
    for _ in range(MOST_ROTATIONS):
        labels = (rows @ rotation).argmax(1).astype(np.int32)
        sums = np.stack([rows[labels == c].sum(0) for c in range(k)])
        left, values, right = np.linalg.svd(sums)
        if values.sum() - alignment < 1e-10:
            break
        alignment, rotation = values.sum(), right.T @ left.T
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--shuffles", type=int, default=50)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with single_threaded_libraries(), torch.no_grad():
        rows = [compare(name, args.seeds, args.shuffles) for name in args.networks]
    report = {
        "question": "What do other starts do to the refined n-cut, its null, and the time?",
        "n_clusters": N_CLUSTERS,
        "starts_of_weighted_kmeans": N_WEIGHTED,
        "networks": rows,
        "environment": environment(),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def compare(name: str, n_seeds: int, n_shuffles: int) -> dict[str, object]:
    graph = without_isolated(load(name))
    graph = graph.with_flat_strengths(graph.flat_strengths().float())
    n_init = CONVENTIONS["default"].starts.number(graph.n_neurons, None)
    settings = Settings(n_clusters=N_CLUSTERS, n_init=n_init)
    seeds = np.random.SeedSequence(0).spawn(n_seeds + n_shuffles)
    draws = [Draw(seed, shuffled=i >= n_seeds) for i, seed in enumerate(seeds)]
    found = [search(graph, settings, draw) for draw in draws]
    refined = evaluate(graph, settings, draws[0]).refined.refined_ncut
    assert abs(refined - found[0].after[N_WEIGHTED]) < 1e-9, "evaluate does the same"
    row = {
        "network": "/".join(Path(name).parts[-2:]),
        "n_neurons": graph.n_neurons,
        "n_init": n_init,
        "observed": summary(found[:n_seeds]),
        "shuffles": summary(found[n_seeds:]),
        "milliseconds_without": 1e3 * float(np.median([f.seconds for f in found])),
        "time_with_over_without": {
            n: 1 + float(np.median([f.extra_seconds[n] / f.seconds for f in found]))
            for n in NUMBERS_OF_STARTS
        },
        "time_of_discretized_over_both": float(
            np.median(
                [f.discretized_seconds / (f.seconds + f.extra_seconds[N_WEIGHTED]) for f in found]
            )
        ),
    }
    print(json.dumps(row), flush=True)
    return row


def summary(found: list[Searches]) -> dict[str, object]:
    """Mean and standard deviation of the n-cuts."""

    def mean_and_std(values: list[float]) -> dict[str, float]:
        return {"mean": float(np.mean(values)), "std": float(np.std(values))}

    return {
        "n_graphs": len(found),
        "plain": mean_and_std([f.plain for f in found]),
        "before": mean_and_std([f.before for f in found]),
        "after": {n: mean_and_std([f.after[n] for f in found]) for n in NUMBERS_OF_STARTS},
        "discretized": mean_and_std([f.discretized for f in found]),
    }


if __name__ == "__main__":
    main()
