"""Is this version slower than an earlier one, on the same graphs, in the same run?

    git worktree add ../earlier COMMIT
    python benchmarks/before_after.py ../earlier [--repeats 5] [--json PATH]
    python benchmarks/before_after.py ../earlier --only ResNet-50 --shuffles 100 --repeats 2

Five graphs are measured by both versions in turn, each time in a new process, with the same
choices (isolated neurons dropped before the shuffles, no ties, the same number of starts): the
network that the package ships, which is pruned, random strengths in its shape and in that of
VGG-16, and ResNet-50 and Inception-V3 with random kernels. The ratio is that of this version's
seconds to the earlier one's, the best of each. The steps are added up over graphs and threads;
``refinement`` includes, here alone, the second search and the k-means that it starts from.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterability import NeuronGraph, neuron_graph
from clusterability.experiments.architectures import InceptionV3, resnet50
from clusterability.experiments.environment import environment
from clusterability.sources.names import network_from_name

HERE = Path(__file__).resolve().parents[1]
VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
MLP = (784, 256, 256, 256, 256, 10)
STARTS_AND_SHUFFLES = {
    "MLP, pruned": (25, 50),
    "MLP": (25, 50),
    "VGG-16": (100, 10),
    "ResNet-50": (100, 3),
    "Inception-V3": (100, 1),
}

CHILD = """
import json, sys
import torch
from clusterability import NeuronGraph, measure
try:
    from clusterability.graph.blocks import Block, Layer
except ImportError:
    from clusterability.graph import Block, Layer

path, n_init, n_shuffles = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
saved = torch.load(path)
layers = tuple(Layer(name, size) for name, size in saved["layers"])
graph = NeuronGraph(layers, tuple(Block(*block) for block in saved["blocks"]))
choices = dict(n_init=n_init, isolated="drop-first", ties="independent")
measure(graph, n_shuffles=1, **choices)
found = measure(graph, n_shuffles=n_shuffles, **choices)
print(json.dumps([found.seconds, found.ncut]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("earlier", type=Path, help="a checkout of the earlier version")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=STARTS_AND_SHUFFLES, metavar="GRAPH")
    parser.add_argument("--shuffles", type=int, help="as many for each graph, not its own number")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network in args.only or STARTS_AND_SHUFFLES:
            n_init, n_shuffles = STARTS_AND_SHUFFLES[network]
            n_shuffles = n_shuffles if args.shuffles is None else args.shuffles
            path = Path(folder) / "graph.pt"
            save(build(network), path)
            choices = [str(path), str(n_init), str(n_shuffles)]
            rows.append({"network": network, "n_init": n_init, "n_graphs": n_shuffles + 1})
            rows[-1]["repeats"] = args.repeats
            rows[-1] |= compare(args.earlier.resolve(), choices, args.repeats)
            print(json.dumps(rows[-1]), flush=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=args.earlier, capture_output=True, text=True
    )
    report = {
        "question": "Is this version slower than an earlier one?",
        "earlier_commit": commit.stdout.strip(),
        "rows": rows,
        "environment": environment(),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def build(network: str) -> NeuronGraph:
    """Return the graph of that name, random where the package ships none."""
    torch.manual_seed(0)
    if network == "MLP, pruned":
        return neuron_graph(network_from_name("example:fashion-mnist-mlp"))
    if network == "ResNet-50":
        return neuron_graph(resnet50().eval(), input_shape=(3, 224, 224))
    if network == "Inception-V3":
        return neuron_graph(InceptionV3().eval(), input_shape=(3, 299, 299))
    rng, sizes = np.random.default_rng(0), MLP if network == "MLP" else VGG16
    shapes = zip(sizes[:-1], sizes[1:], strict=True)
    strengths = [np.abs(rng.normal(size=shape)).astype(np.float32) for shape in shapes]
    return NeuronGraph.chain([torch.from_numpy(s) for s in strengths])


def save(graph: NeuronGraph, path: Path) -> None:
    layers = [(layer.name, layer.n_neurons) for layer in graph.layers]
    blocks = [(b.source, b.target, b.strengths, b.support) for b in graph.blocks]
    torch.save({"layers": layers, "blocks": blocks}, path)


def compare(earlier: Path, choices: list[str], repeats: int) -> dict[str, Any]:
    """Return the seconds of the best run of each version, by step, their ratios, and n-cuts."""
    runs: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    ncuts = {}
    for _ in range(repeats):
        for version, root in (("before", earlier), ("after", HERE)):
            command = [sys.executable, "-c", CHILD, *choices]
            variables = os.environ | {"PYTHONPATH": str(root / "src")}
            run = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True)
            seconds, ncuts[version] = json.loads(run.stdout)
            runs[version].append(seconds)
    steps = runs["before"][0]
    best = {v: {step: min(run[step] for run in done) for step in steps} for v, done in runs.items()}
    return {
        "best_seconds": best,
        "ratio": {step: best["after"][step] / best["before"][step] for step in steps},
        "ncut": ncuts,
    }


if __name__ == "__main__":
    main()
