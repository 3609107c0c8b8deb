"""Do randomly initialized MLPs have the published n-cut (figure A.1: 10.295 +- 0.032)?

python -m clusterability.experiments.glorot [--networks 100] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from clusterability.experiments.environment import environment
from clusterability.graph import NeuronGraph
from clusterability.measuring import measure

WIDTHS = [784, 256, 256, 256, 256, 10]
PUBLISHED = {"mean": 10.295, "std": 0.032}


def glorot_uniform(seed: int) -> NeuronGraph:
    """Return the graph of an MLP with Glorot-uniform weights, whose absolute values are uniform."""
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    for n_in, n_out in zip(WIDTHS[:-1], WIDTHS[1:], strict=True):
        limit = (6 / (n_in + n_out)) ** 0.5
        blocks.append(torch.rand(n_in, n_out, generator=generator) * limit)
    return NeuronGraph.chain(blocks)


def main() -> None:
    """Measure the networks, and print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = [
        measure(glorot_uniform(seed), n_shuffles=0, conventions="published")
        for seed in range(args.networks)
    ]
    ncuts = [result.ncut for result in results]
    report = {
        "question": "Do randomly initialized MLPs have the published n-cut?",
        "n_networks": args.networks,
        "ncut": {"mean": float(np.mean(ncuts)), "std": float(np.std(ncuts))},
        "refined_ncut": {"mean": float(np.mean([result.refined.ncut for result in results]))},
        "published_ncut": PUBLISHED,
        "environment": environment(),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
