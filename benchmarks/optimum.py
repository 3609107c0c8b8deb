"""How often is the refined n-cut the lowest that there is, without and with the second start?

    python benchmarks/optimum.py [--graphs 300] [--json PATH]

Random graphs of 5 to 9 neurons in k = 2, 3 and 4 clusters: n-cuts of all partitions are computed.
"""

import argparse
import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability import NeuronGraph
from clusterability.evaluation import N_WEIGHTED, Draw, evaluate
from clusterability.experiments.environment import environment
from clusterability.graph import Block, Layer
from clusterability.settings import Settings
from clusterability.workers import single_threaded_libraries
from second_start import NUMBERS_OF_STARTS, search

Generator = np.random.Generator
FEWEST, MOST = 5, 9
NUMBERS_OF_CLUSTERS = (2, 3, 4)
N_INIT = 25
SAME = 1e-9
MUCH = 0.1


def dense(rng: Generator) -> NeuronGraph:
    """All pairs joined, strengths uniform."""
    return without_layers(uniform(rng))


def sparse(rng: Generator) -> NeuronGraph:
    """A quarter to three fifths of the pairs joined."""
    strengths = uniform(rng)
    return without_layers(strengths * (rng.random(strengths.shape) < rng.uniform(0.25, 0.6)))


def planted(rng: Generator) -> NeuronGraph:
    """Three groups, strengths between them 0.05 to 0.5 of those inside."""
    strengths = uniform(rng)
    group = rng.integers(3, size=len(strengths))
    inside = group[:, None] == group
    return without_layers(strengths * np.where(inside, 1, rng.uniform(0.05, 0.5)))


def weak(rng: Generator) -> NeuronGraph:
    """Three neurons whose strengths are scaled down to a third, or to as little as 1e-6."""
    strengths = uniform(rng)
    scales = np.ones(len(strengths))
    scales[:3] = 10 ** rng.uniform(-6, -0.5, 3)
    joined = rng.random(strengths.shape) < 0.7
    return without_layers(strengths * np.outer(scales, scales) * joined)


def hanging(rng: Generator) -> NeuronGraph:
    """Three of nine neurons hang on by one or two edges, of a hundredth or a thousandth."""
    strengths = np.zeros((MOST, MOST))
    strengths[:6, :6] = rng.choice([0, 0, 1, 2, 5, 9], (6, 6))
    for neuron in range(6, MOST):
        others = rng.permutation(neuron)[: rng.integers(1, 3)]
        strengths[others, neuron] = rng.choice([1, 2, 3], others.size) * rng.choice([1e-3, 1e-2])
    return without_layers(strengths)


def layered(rng: Generator) -> NeuronGraph:
    """A chain of two to four layers, strengths absolute normal."""
    n_neurons = rng.integers(FEWEST, MOST + 1)
    n_cuts = rng.integers(1, 4)
    cuts = np.sort(rng.choice(np.arange(1, n_neurons), n_cuts, replace=False))
    sizes = np.diff([0, *cuts, n_neurons])
    blocks = [np.abs(rng.standard_normal(shape)) for shape in pairwise(sizes)]
    return NeuronGraph.chain([torch.tensor(block, dtype=torch.float32) for block in blocks])


KINDS = (dense, sparse, planted, weak, hanging, layered)


def uniform(rng: Generator) -> NDArray[np.float64]:
    n_neurons = rng.integers(FEWEST, MOST + 1)
    return rng.random((n_neurons, n_neurons))


def without_layers(strengths: NDArray[np.float64]) -> NeuronGraph:
    """Of the strengths those above the diagonal."""
    above = torch.tensor(np.triu(strengths, 1), dtype=torch.float32)
    return NeuronGraph((Layer("neurons", len(above)),), (Block(0, 0, above),))


@cache
def partitions(n_neurons: int, k: int) -> NDArray[np.float64]:
    """All partitions into exactly k parts, (n_partitions, n_neurons, k), 1 where a neuron belongs.

    Of the labels that stand for one partition, those count whose numbers first appear in order.
    """
    labels = np.indices((k,) * n_neurons).reshape(n_neurons, -1).T
    highest = np.maximum.accumulate(labels, axis=1)
    in_order = (labels[:, 1:] <= highest[:, :-1] + 1).all(1) & (labels[:, 0] == 0)
    kept = labels[in_order & (highest[:, -1] == k - 1)]
    return (kept[..., None] == np.arange(k)).astype(float)


def lowest_ncut(graph: NeuronGraph, k: int) -> float:
    adjacency = graph.to_scipy().toarray().astype(float)
    alive = adjacency.sum(1) > 0
    adjacency = adjacency[alive][:, alive]
    members = partitions(len(adjacency), k)
    inside = (members * (adjacency @ members)).sum(1)
    return float((1 - inside / (adjacency.sum(1) @ members)).sum(1).min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--graphs", type=int, default=300, help="of each kind, for each k")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with single_threaded_libraries(), torch.no_grad():
        rows = [
            compare(kind, make, k, args.graphs)
            for kind, make in enumerate(KINDS)
            for k in NUMBERS_OF_CLUSTERS
        ]
    report = {
        "question": "How often is the refined n-cut the lowest that there is?",
        "starts_of_kmeans": N_INIT,
        "starts_of_weighted_kmeans": N_WEIGHTED,
        "rows": rows,
        "all": total(rows),
        "environment": environment(),
    }
    print(json.dumps(report["all"]))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def compare(
    kind: int, make: Callable[[Generator], NeuronGraph], k: int, n_graphs: int
) -> dict[str, object]:
    """Counts over graphs that have more neurons with a connection than clusters."""
    settings, lowest, found, shipped = Settings(n_clusters=k, n_init=N_INIT), [], [], []
    for seed in np.random.SeedSequence((kind, k)).spawn(n_graphs):
        graph = make(np.random.default_rng(seed))
        graph = graph.with_flat_strengths(graph.flat_strengths())
        if int((graph.degrees() > 0).sum()) > k:
            lowest.append(lowest_ncut(graph, k))
            draw = Draw(seed, shuffled=False)
            found.append(search(graph, settings, draw))
            shipped.append(evaluate(graph, settings, draw).refined.refined_ncut)
    optimum, before = np.array(lowest), np.array([f.before for f in found])
    assert np.allclose(shipped, [f.after[N_WEIGHTED] for f in found], atol=SAME, rtol=0)
    after = {n: np.array([f.after[n] for f in found]) for n in NUMBERS_OF_STARTS}
    row = {
        "kind": make.__name__,
        "k": k,
        "n_graphs": len(found),
        "optimal_before": int((before < optimum + SAME).sum()),
        "optimal_after": {n: int((a < optimum + SAME).sum()) for n, a in after.items()},
        "worse_after": int((np.array(shipped) > before + SAME).sum()),
        "much_above_most_starts": {
            n: int((a > after[NUMBERS_OF_STARTS[-1]] + MUCH).sum()) for n, a in after.items()
        },
        "mean_excess_before": float((before - optimum).mean()),
        "mean_excess_after": {n: float((a - optimum).mean()) for n, a in after.items()},
    }
    print(json.dumps(row), flush=True)
    return row


def total(rows: list[dict[str, object]]) -> dict[str, object]:
    """Shares over all kinds and numbers of clusters."""
    n_graphs = sum(row["n_graphs"] for row in rows)
    return {
        "n_graphs": n_graphs,
        "share_optimal_before": sum(row["optimal_before"] for row in rows) / n_graphs,
        "share_optimal_after": {
            n: sum(row["optimal_after"][n] for row in rows) / n_graphs for n in NUMBERS_OF_STARTS
        },
        "n_worse_after": sum(row["worse_after"] for row in rows),
        "n_much_above_most_starts": {
            n: sum(row["much_above_most_starts"][n] for row in rows) for n in NUMBERS_OF_STARTS
        },
    }


if __name__ == "__main__":
    main()
