"""ResNet-50 and Inception-V3, whose layers are not two-colorable: how fast, and how good?

    python benchmarks/architectures.py --network resnet50|inception [--shuffles 2] [--json PATH]
    python benchmarks/architectures.py --network resnet50 --full-null [--json PATH]

Random kernels (He-normal), k = 12, 100 starts. Ours evaluates the network and its shuffles on all
processors. The plain pipeline (SciPy adjacency, scikit-learn's ``SpectralClustering`` with ARPACK)
takes minutes a graph: ``--plain-graphs`` of them, the network and then shuffles, are timed one
after the other in one thread, and taken to run on all processors at once without loss. The n-cuts
of both are compared over ``--seeds`` seeds; the plain pipeline's eigenvectors are computed once for
all of them. With ``--full-null`` only ours runs, with 100 shuffles.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before NumPy is imported: one thread each; ours has threads of its own.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.manifold import spectral_embedding
from torch import nn

from clusterability import Clusterability, NeuronGraph, measure
from clusterability.experiments import plain_pipeline
from clusterability.experiments.architectures.inception import InceptionV3
from clusterability.experiments.architectures.resnet import resnet50
from clusterability.experiments.environment import environment
from clusterability.sources import neuron_graph

NETWORKS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "resnet50": (resnet50, 224),
    "inception": (InceptionV3, 299),
}
K, N_INIT = 12, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--shuffles", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-graphs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--full-null", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    measure(build(args.network, divisor=16), n_shuffles=1, n_init=2)  # compiles
    started = time.perf_counter()
    graph = build(args.network)
    report = {
        "network": args.network,
        "n_layers": len(graph.layers),
        "n_neurons": graph.n_neurons,
        "n_blocks": len(graph.blocks),
        "n_strengths": graph.n_strengths,
        "n_init": N_INIT,
        "processors": len(os.sched_getaffinity(0)),
        "seconds_to_build_and_trace": time.perf_counter() - started,
    }
    report |= full_null(graph) if args.full_null else comparison(graph, args)
    report["environment"] = environment()
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def build(network: str, divisor: int = 1) -> NeuronGraph:
    make, size = NETWORKS[network]
    torch.manual_seed(0)
    model = make(divisor).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    graph = neuron_graph(model, example_inputs=(torch.zeros(1, 3, size, size),))
    return graph.with_flat_strengths(graph.flat_strengths().detach())


def full_null(graph: NeuronGraph) -> dict[str, Any]:
    result, processor = timed(graph, 100)
    assert result.plain.null is not None
    assert result.refined.null is not None
    return {
        "question": "How long do 100 shuffles take, and how much memory?",
        "seconds": result.seconds["total"],
        "processor_seconds": processor,
        "seconds_by_step_in_all_threads": dict(result.seconds),
        "peak_mb": peak_mb(),
        "ncut": {"plain": result.ncut, "refined": result.refined.ncut},
        "null_mean": {"plain": result.plain.null.mean, "refined": result.refined.null.mean},
        "null_std": {"plain": result.plain.null.std, "refined": result.refined.null.std},
        "lower_bound": result.lower_bound,
    }


def comparison(graph: NeuronGraph, args: argparse.Namespace) -> dict[str, Any]:
    n_graphs = args.shuffles + 1
    runs = [timed(graph, args.shuffles) for _ in range(args.repeats)]
    best, processor = min(runs, key=lambda run: run[0].seconds["total"])
    our_peak_mb = peak_mb()
    plain = [plain_graph(graph, shuffled) for shuffled in range(args.plain_graphs)]
    processors = len(os.sched_getaffinity(0))
    ours_per_graph = best.seconds["total"] / n_graphs
    plain_per_graph = sum(run["seconds"]["total"] for run in plain) / len(plain) / processors
    return {
        "question": "How much faster than the plain scikit-learn pipeline, and as good?",
        "n_graphs": n_graphs,
        "seconds": {"ours": [result.seconds["total"] for result, _ in runs], "plain": plain},
        "seconds_per_graph_on_all_processors": {"ours": ours_per_graph, "plain": plain_per_graph},
        "ratio": plain_per_graph / ours_per_graph,
        "processor_seconds_per_graph": {
            "ours": processor / n_graphs,
            "plain": float(np.mean([run["seconds"]["processor"] for run in plain])),
        },
        "our_seconds_by_step_in_all_threads": dict(best.seconds),
        "peak_mb": {"ours": our_peak_mb, "with plain": peak_mb()},
        "null": {
            "ours": best.plain.null and best.plain.null.values,
            "plain": [run["ncut"] for run in plain[1:]],
        },
        "ncut_over_seeds": ncuts_over_seeds(graph, args.seeds),
    }


def timed(graph: NeuronGraph, n_shuffles: int) -> tuple[Clusterability, float]:
    """Our result, and the processor seconds of all threads."""
    started = time.process_time()
    result = measure(
        *(graph, K, n_shuffles),
        n_init=N_INIT,
        conventions="published",  # copies are shuffled by themselves, as by the plain pipeline
    )
    print(f"ours {result.seconds['total']:.2f} s for 1 + {n_shuffles} graphs", flush=True)
    return result, time.process_time() - started


def plain_graph(graph: NeuronGraph, shuffled: int) -> dict[str, Any]:
    """Seconds and n-cut of the network (0) or of a shuffle (1, 2, ...) in the plain pipeline."""
    blocks = [(b.source, b.target, b.strengths.numpy()) for b in graph.blocks]
    started, cpu_started = time.perf_counter(), time.process_time()
    if shuffled:
        rng = np.random.default_rng(shuffled)
        permuted = plain_pipeline.shuffle([strengths for _, _, strengths in blocks], rng)
        blocks = [(s, t, p) for (s, t, _), p in zip(blocks, permuted, strict=True)]
    matrix = plain_adjacency(graph.layer_sizes, blocks)
    built = time.perf_counter()
    labels = plain_pipeline.cluster(matrix, K, N_INIT, seed=0)
    ncut = plain_pipeline.normalized_cut(matrix, labels)
    ended = time.perf_counter()
    seconds = {"adjacency": built - started, "total": ended - started}
    seconds["processor"] = time.process_time() - cpu_started
    print(f"plain {seconds['total']:.1f} s, n-cut {ncut:.4f}", flush=True)
    return {"shuffled": bool(shuffled), "seconds": seconds, "ncut": ncut}


def plain_adjacency(
    sizes: list[int], blocks: list[tuple[int, int, NDArray[np.floating]]]
) -> sp.csr_matrix:
    """Adjacency of layers of these sizes, isolated neurons dropped."""
    grid: list[list[sp.csr_matrix | None]] = [[None] * len(sizes) for _ in sizes]
    for i, size in enumerate(sizes):
        grid[i][i] = sp.csr_matrix((size, size))
    for source, target, strengths in blocks:
        block = sp.csr_matrix(strengths, dtype=np.float64)
        for i, j, part in ((source, target, block), (target, source, block.T)):
            before = grid[i][j]
            grid[i][j] = part if before is None else before + part
    whole = sp.bmat(grid, format="csr")
    alive = np.asarray(whole.sum(1)).ravel() > 0
    return whole if alive.all() else whole[alive][:, alive]


def ncuts_over_seeds(graph: NeuronGraph, n_seeds: int) -> dict[str, Any]:
    blocks = [(b.source, b.target, b.strengths.numpy()) for b in graph.blocks]
    matrix = plain_adjacency(graph.layer_sizes, blocks)
    points = spectral_embedding(
        matrix, n_components=K, eigen_solver="arpack", random_state=0, drop_first=False
    )
    ours, refined, plain = [], [], []
    for seed in range(n_seeds):
        result = measure(graph, n_clusters=K, n_init=N_INIT, n_shuffles=0, seed=seed)
        ours.append(result.ncut)
        refined.append(result.refined.ncut)
        labels = KMeans(K, n_init=N_INIT, random_state=seed).fit(points).labels_
        plain.append(plain_pipeline.normalized_cut(matrix, labels))
    found = {"ours": ours, "refined": refined, "plain": plain}
    medians = {f"median_{which}": float(np.median(values)) for which, values in found.items()}
    return medians | found | {"lower_bound": result.lower_bound}


def peak_mb() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
