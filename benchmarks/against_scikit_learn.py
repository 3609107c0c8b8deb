"""How much faster than the plain scikit-learn pipeline, on the same cores, in the same run?

    python benchmarks/against_scikit_learn.py NETWORK [--shuffles 50] [--json PATH]

NETWORK is a file, ``example:fashion-mnist-mlp``, or ``vgg16`` for random channel strengths in the
shape of VGG-16. Both pipelines evaluate the network and its shuffles with the same number of
k-means starts; the plain one in as many processes as there are processors, one thread each. They
take turns; the best run of each counts.
"""

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# Before NumPy is imported, here and in the processes: one thread each.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch

from clusterability import NeuronGraph, measure, neuron_graph
from clusterability.experiments import plain_pipeline
from clusterability.experiments.environment import environment
from clusterability.sources.names import network_from_name

VGG16 = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("network")
    parser.add_argument("--shuffles", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    graph = load(args.network)
    blocks = [block.strengths.numpy() for block in graph.blocks]
    n_processes = len(os.sched_getaffinity(0))
    measure(graph, n_shuffles=1)  # compiles
    context = multiprocessing.get_context("spawn")
    ours, plain, results = [], [], []
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        list(pool.map(plain_pipeline.ncut, [[np.ones((20, 20))]] * n_processes, [2] * n_processes))
        for _ in range(args.repeats):
            # The plain pipeline drops isolated neurons first, as published.
            result = measure(graph, n_shuffles=args.shuffles, conventions="published")
            results.append(result)
            ours.append(result.seconds["total"])
            n_init = result.n_init
            plain.append(run_plain(pool, blocks, args.shuffles, n_init))
            print(f"ours {ours[-1]:.2f} s, plain {plain[-1][0]:.2f} s", flush=True)
    best = min(range(args.repeats), key=ours.__getitem__)
    report = {
        "question": "How much faster than the plain scikit-learn pipeline?",
        "network": "/".join(Path(args.network).parts[-2:]),
        "n_neurons": graph.n_neurons,
        "n_strengths": graph.n_strengths,
        "n_graphs": args.shuffles + 1,
        "n_init": n_init,
        "processes": n_processes,
        "seconds": {"ours": ours, "plain": [seconds for seconds, _ in plain]},
        "ratio_of_best": min(seconds for seconds, _ in plain) / min(ours),
        "our_seconds_by_step_over_workers": dict(results[best].seconds),
        "ncut": {"ours": results[0].ncut, "plain": plain[0][1][0]},
        "null_mean": {
            "ours": float(results[0].null_distribution.mean()),
            "plain": float(np.mean(plain[0][1][1:])),
        },
        "environment": environment(),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def load(name: str) -> NeuronGraph:
    if name != "vgg16":
        return neuron_graph(network_from_name(name))
    generator = torch.Generator().manual_seed(0)
    shapes = list(zip(VGG16[:-1], VGG16[1:], strict=True))
    return NeuronGraph.chain([torch.rand(shape, generator=generator) for shape in shapes])


def run_plain(
    pool: ProcessPoolExecutor, blocks: plain_pipeline.Blocks, n_shuffles: int, n_init: int
) -> tuple[float, list[float]]:
    started = time.perf_counter()
    jobs = [pool.submit(plain_pipeline.ncut, blocks, 12, n_init, 0)]
    jobs += [
        pool.submit(plain_pipeline.shuffled_ncut, blocks, 12, n_init, seed)
        for seed in range(n_shuffles)
    ]
    values = [job.result() for job in jobs]
    return time.perf_counter() - started, values


if __name__ == "__main__":
    main()
