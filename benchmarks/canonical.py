"""What is the n-cut in canonical scaling, of network and shuffles, and what does it cost?

    python benchmarks/canonical.py [--shuffles 50] [--json PATH]

The shipped network, raw and in canonical scaling, with all layers and with hidden layers alone; the
processor's seconds for the scaling itself, of that network, of an untrained VGG-16 and of an
untrained ResNet-18, beside those for one graph's eigenvectors, k-means from 25 starts, and
refinement.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from clusterability import measure, neuron_graph
from clusterability.evaluation import Draw, evaluate
from clusterability.experiments.architectures.resnet import resnet18
from clusterability.experiments.environment import environment
from clusterability.graph import NeuronGraph
from clusterability.graph.canonical import canonical, ties
from clusterability.settings import Settings
from clusterability.training import build

EXAMPLE = "example:fashion-mnist-mlp"
SETTINGS = Settings(n_init=25)
DRAW = Draw(np.random.SeedSequence(0), shuffled=False)


def measured(n_shuffles: int) -> list[dict[str, Any]]:
    rows = []
    for layers in ("all", "hidden"):
        for scaling in ("raw", "canonical"):
            found = measure(EXAMPLE, n_shuffles=n_shuffles, scaling=scaling, layers=layers)
            row: dict[str, Any] = {"layers": layers, "scaling": scaling}
            for name, part in (("", found.plain), ("refined_", found.refined)):
                assert part.null is not None
                row[f"{name}ncut"], row[f"{name}p"] = part.ncut, part.p_value
                row[f"{name}null_mean"], row[f"{name}null_std"] = part.null.mean, part.null.std
            rows.append(row)
    return rows


def graphs() -> dict[str, NeuronGraph]:
    torch.manual_seed(0)
    whole = ("input", "dense")
    vgg, resnet = build("vgg", (3, 32, 32), 10), resnet18()
    return {
        EXAMPLE: neuron_graph(EXAMPLE),
        "VGG-16": neuron_graph(vgg, include=whole, input_shape=(3, 32, 32)),
        "ResNet-18": neuron_graph(resnet, include=whole, input_shape=(3, 224, 224)),
    }


def seconds(task: Callable[[], object], n_rounds: int) -> float:
    found = []
    for _ in range(n_rounds):
        started = time.process_time()
        task()
        found.append(time.process_time() - started)
    return median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shuffles", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    costs = {}
    with torch.no_grad():
        for name, graph in graphs().items():
            flat = graph.with_flat_strengths(graph.flat_strengths().float())
            costs[name] = {
                "n_strengths": graph.n_strengths,
                "scaling": seconds(lambda flat=flat: canonical(flat, ties(flat)), args.rounds),
                "rest_of_a_graph": seconds(
                    lambda flat=flat: evaluate(flat, SETTINGS, DRAW), args.rounds
                ),
            }
    report = {
        "question": "What is the n-cut in canonical scaling, and what does it cost?",
        "network": EXAMPLE,
        "n_shuffles": args.shuffles,
        "measured": measured(args.shuffles),
        "seconds": costs,
        "environment": environment(),
    }
    print(json.dumps({n: report[n] for n in ("measured", "seconds")}, indent=2))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
