"""Where does the time of one graph go, and how much of it is arithmetic?

    python benchmarks/floor.py [NETWORK] [--json PATH]

Times each step of one shuffle in one thread, counts its floating-point operations, and divides
these by the measured rate of a large matrix product: the floor that no version runs below. Those of
the eigenvectors are LAPACK's, of whole blocks, also where the network is pruned and its zeros are
passed over. The network's smaller side must be one that LAPACK solves (up to 1,000 neurons).
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from sklearn.cluster import KMeans

from clusterability import neuron_graph
from clusterability.evaluation import Draw, evaluate
from clusterability.experiments.environment import environment
from clusterability.nulls.isolated import without_isolated
from clusterability.settings import Settings
from clusterability.sources.names import network_from_name
from clusterability.spectral.embedding import eigenproblem, spectral_embedding
from clusterability.workers import single_threaded_libraries

N_CLUSTERS, N_INIT, N_GRAPHS = 12, 25, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("network", nargs="?", default="example:fashion-mnist-mlp")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    graph = without_isolated(neuron_graph(network_from_name(args.network)))
    graph = graph.with_flat_strengths(graph.flat_strengths())
    with single_threaded_libraries(), torch.no_grad():
        rate = product_rate()
        seconds = step_seconds(graph)
        operations = count_operations(graph)
    steps = {
        step: {
            "milliseconds": 1e3 * seconds[step],
            "operations": operations.get(step),
            "floor_milliseconds": 1e3 * operations[step] / rate if step in operations else None,
        }
        for step in seconds
    }
    report = {
        "question": "Where does the time of one graph go, and how much of it is arithmetic?",
        "network": "/".join(Path(args.network).parts[-2:]),
        "float32_product_rate_per_second": rate,
        "steps_of_one_shuffle_in_one_thread": steps,
        "environment": environment(),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def product_rate() -> float:
    """Operations a second of a 1024 x 1024 float32 product, the best of ten."""
    matrix, best = torch.rand(1024, 1024), np.inf
    for _ in range(10):
        started = perf_counter()
        matrix @ matrix
        best = min(best, perf_counter() - started)
    return 2 * 1024**3 / best


def step_seconds(graph) -> dict[str, float]:
    settings = Settings(n_clusters=N_CLUSTERS, n_init=N_INIT)
    seeds = np.random.SeedSequence(0).spawn(N_GRAPHS + 1)
    runs = [evaluate(graph, settings, Draw(seed, shuffled=True)).seconds for seed in seeds][1:]
    return {step: float(np.median([run[step] for run in runs])) for step in runs[0]}


def count_operations(graph) -> dict[str, float]:
    """Of B'B, its tridiagonal form, and one product with B; and of k-means' distances."""
    colors = graph.two_coloring()
    side = eigenproblem(graph, graph.degrees(torch.float64)).size
    small = [s for s, c in zip(graph.layer_sizes, colors, strict=True) if c]
    color = 1 if sum(small) == side else 0
    products = 0.0
    for middle, size in enumerate(graph.layer_sizes):
        if colors[middle] != color:
            ends = [
                b.source + b.target - middle for b in graph.blocks if middle in (b.source, b.target)
            ]
            products += size * sum(graph.layer_sizes[end] for end in ends) ** 2
    eigenvectors = products + 4 / 3 * side**3 + 2 * graph.n_strengths * (N_CLUSTERS - 1)
    embedding = spectral_embedding(graph, N_CLUSTERS - 1, [np.random.default_rng(0)])
    points = embedding.vectors.numpy()
    n_iterations = sum(
        KMeans(N_CLUSTERS, n_init=1, tol=0, random_state=seed).fit(points).n_iter_
        for seed in range(N_INIT)
    )
    distances = 2 * len(points) * N_CLUSTERS * (N_CLUSTERS - 1)
    return {"eigenvectors": eigenvectors, "kmeans": float(n_iterations * distances)}


if __name__ == "__main__":
    main()
