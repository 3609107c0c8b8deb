"""Is the n-cut as low as that of the plain scikit-learn pipeline, and the null the same?

    python benchmarks/quality.py NETWORK... [--shuffles 50] [--seeds 10] [--json PATH]

For each network the median n-cut over the seeds, and the mean n-cut of the shuffles, by both.
"""

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

from clusterability import measure, neuron_graph
from clusterability.experiments import plain_pipeline
from clusterability.experiments.environment import environment
from clusterability.sources.names import network_from_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--shuffles", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--clusters", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=context) as pool:
        rows = [compare(pool, name, args) for name in args.networks]
    report = {
        "question": "Is the n-cut as low as the plain pipeline's, and the null the same?",
        "networks": rows,
        "environment": environment(),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def compare(pool: ProcessPoolExecutor, name: str, args: argparse.Namespace) -> dict[str, object]:
    graph = neuron_graph(network_from_name(name))
    blocks = [block.strengths.numpy() for block in graph.blocks]
    # The plain pipeline drops isolated neurons first, as published.
    result = measure(graph, args.clusters, args.shuffles, conventions="published")
    n_init = result.n_init
    plain = [
        pool.submit(plain_pipeline.ncut, blocks, args.clusters, n_init, seed)
        for seed in range(args.seeds)
    ]
    plain_null = [
        pool.submit(plain_pipeline.shuffled_ncut, blocks, args.clusters, n_init, seed)
        for seed in range(args.shuffles)
    ]
    ours = [measure(graph, args.clusters, 0, seed).ncut for seed in range(args.seeds)]
    ncuts = [job.result() for job in plain]
    null = [job.result() for job in plain_null]
    row = {
        "network": "/".join(Path(name).parts[-2:]),
        "n_seeds": args.seeds,
        "n_shuffles": args.shuffles,
        "median_ncut": {"ours": float(np.median(ours)), "plain": float(np.median(ncuts))},
        "null_mean": {
            "ours": float(result.null_distribution.mean()),
            "plain": float(np.mean(null)),
        },
        "null_std": {"ours": float(result.null_distribution.std()), "plain": float(np.std(null))},
        "refined_ncut": result.refined.ncut,
        "lower_bound": result.lower_bound,
    }
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
