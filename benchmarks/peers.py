"""How much faster than public pipelines, and is the n-cut as low, on the same graphs and cores?

    pip install -r benchmarks/peers-requirements.txt
    python benchmarks/peers.py NETWORK [--seeds 10] [--shuffles 20] [--repeats 3] [--json PATH]

NETWORK is a file, ``example:fashion-mnist-mlp``, or ``mlp`` or ``vgg16`` for random strengths of
that shape. Every pipeline evaluates the network with each seed, and shuffles of it, with the same
number of k-means starts: scikit-learn's spectral clustering with ARPACK, LOBPCG and AMG, with
ARPACK and discretized or pivoted-QR labels, and scikit-network's spectral embedding with
scikit-learn's k-means. The others run in as many processes as there are processors, one thread
each, and ours with as many workers. They take turns; the best run of each counts. Ours does more
in its time: the local search and the lower bound.
"""

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

# Before NumPy is imported, here and in the processes: one thread each.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from clusterability import NeuronGraph, measure
from clusterability.experiments import plain_pipeline
from clusterability.experiments.environment import environment
from graphs import load

N_CLUSTERS = 12


def scikit_network(
    matrix: sp.csr_matrix, n_clusters: int, n_init: int, seed: int
) -> NDArray[np.int32]:
    """Cluster by scikit-network's embedding, whose own k-means has a single start."""
    from sklearn.cluster import KMeans
    from sknetwork.embedding import Spectral

    np.random.seed(seed)  # noqa: NPY002 - the eigensolver's start vector is drawn from it
    points = Spectral(n_clusters - 1, normalized=False).fit_transform(matrix)
    labels: NDArray[np.int32] = (
        KMeans(n_clusters, n_init=n_init, random_state=seed).fit(points).labels_
    )
    return labels


PEERS: dict[str, plain_pipeline.Clusterer] = {
    "scikit-learn, arpack": plain_pipeline.cluster,
    "scikit-learn, lobpcg": partial(plain_pipeline.cluster, eigen_solver="lobpcg"),
    "scikit-learn, amg": partial(plain_pipeline.cluster, eigen_solver="amg"),
    "scikit-learn, arpack, discretize": partial(plain_pipeline.cluster, assign_labels="discretize"),
    "scikit-learn, arpack, cluster_qr": partial(plain_pipeline.cluster, assign_labels="cluster_qr"),
    "scikit-network": scikit_network,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("network")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    graph = load(args.network)
    blocks = [block.strengths.numpy() for block in graph.blocks]
    n_graphs = args.seeds + args.shuffles
    n_processes = len(os.sched_getaffinity(0))
    n_init = measure(graph, n_shuffles=1).n_init  # compiles
    context = multiprocessing.get_context("spawn")
    runs: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in ("ours", *PEERS)}
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        warm_up(pool, n_processes)
        for _ in range(args.repeats):
            runs["ours"].append(run_ours(graph, n_graphs - 1))
            for name, cluster in PEERS.items():
                run = partial(evaluate, blocks, n_init, args.seeds, cluster)
                started = time.perf_counter()
                values = list(pool.map(run, range(n_graphs)))
                runs[name].append((time.perf_counter() - started, values))
            print({name: round(done[-1][0], 2) for name, done in runs.items()}, flush=True)
    rows = {name: row(done, args.seeds, n_graphs) for name, done in runs.items() if name != "ours"}
    ours = row_of_ours(runs["ours"], graph, args.seeds, n_graphs)
    for found in rows.values():
        found["times_ours"] = found["milliseconds_a_graph"] / ours["milliseconds_a_graph"]
    report = {
        "question": "How much faster than public pipelines, and is the n-cut as low?",
        "network": "/".join(Path(args.network).parts[-2:]),
        "n_neurons": graph.n_neurons,
        "n_strengths": graph.n_strengths,
        "n_seeds": args.seeds,
        "n_shuffles": args.shuffles,
        "n_init": n_init,
        "processes": n_processes,
        "pipelines": {"ours": ours, **rows},
        "environment": environment(("scikit-network", "pyamg")),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def evaluate(
    blocks: plain_pipeline.Blocks,
    n_init: int,
    n_seeds: int,
    cluster: plain_pipeline.Clusterer,
    index: int,
) -> float:
    """Return the n-cut of the network with a seed, or, past the seeds, of a shuffle."""
    if index < n_seeds:
        return plain_pipeline.ncut(blocks, N_CLUSTERS, n_init, index, cluster)
    return plain_pipeline.shuffled_ncut(blocks, N_CLUSTERS, n_init, index, cluster)


def warm_up(pool: ProcessPoolExecutor, n_processes: int) -> None:
    """Have each process import what every pipeline needs."""
    toy = [np.random.default_rng(0).random((60, 60))]
    for cluster in PEERS.values():
        list(pool.map(partial(evaluate, toy, 2, n_processes, cluster), range(n_processes)))


def run_ours(graph: NeuronGraph, n_shuffles: int) -> tuple[float, list[float]]:
    # Isolated neurons are dropped before the shuffles, as the others do.
    result = measure(graph, N_CLUSTERS, n_shuffles, conventions="published")
    return result.seconds["total"], [result.ncut, *result.null_distribution]


def row(runs: list[tuple[float, list[float]]], n_seeds: int, n_graphs: int) -> dict[str, Any]:
    """Return a pipeline's time and n-cuts."""
    values = runs[0][1]
    return {
        "seconds": [seconds for seconds, _ in runs],
        "milliseconds_a_graph": 1e3 * min(seconds for seconds, _ in runs) / n_graphs,
        "ncut_median": float(np.median(values[:n_seeds])),
        "ncuts": values[:n_seeds],
        "null_mean": float(np.mean(values[n_seeds:])),
    }


def row_of_ours(
    runs: list[tuple[float, list[float]]], graph: NeuronGraph, n_seeds: int, n_graphs: int
) -> dict[str, Any]:
    """Return our time and n-cuts, those of the seeds by a measurement each, out of the time."""
    each = [measure(graph, N_CLUSTERS, 0, seed, conventions="published") for seed in range(n_seeds)]
    ncuts = [result.ncut for result in each]
    return row(
        [(seconds, [*ncuts, *values[1:]]) for seconds, values in runs], n_seeds, n_graphs
    ) | {
        "refined_ncut_median": float(np.median([result.refined.ncut for result in each])),
        "lower_bound": each[0].lower_bound,
    }


if __name__ == "__main__":
    main()
