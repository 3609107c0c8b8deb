"""How often is a true null rejected at the 5 % level, with the default and the published choices?

    python benchmarks/false_positives.py [--networks 300] [--partial PATH] [--json PATH]

Networks of four kinds, dense and with 15 % of their strengths, are drawn as the null model itself
says: the strengths of a kernel independent and alike, and the same in all copies of the kernel.
Each is measured with 19 shuffles, so that the only p-value at or below 0.05 is 1/20. If p-values
are valid, at most 5 % of the networks have it. Where a rate of the default choices lies outside
0.02 to 0.08, that cell is simulated anew with 2,000 other networks, and their rate decides.

With --partial, an interrupted run goes on from the p-values in that file; remove it after a change
of the code. The rates do not depend on --workers.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from clusterability import NeuronGraph, measure, neuron_graph, toy
from clusterability.experiments.environment import environment

N_CLUSTERS, N_SHUFFLES, LEVEL = 6, 19, 0.05
ACCEPTED, N_ANEW = (0.02, 0.08), 2000
KINDS = ("MLP", "CNN", "residual MLP", "ResNet")
DENSITIES = {"dense": 1.0, "sparse": 0.15}
CHOICES = {
    "default": {"isolated": "drop-after", "ties": "tied"},
    "published": {"isolated": "drop-first", "ties": "independent"},
}
CHUNK = 20
"""Networks that a process measures before their p-values are written down."""

Cell = tuple[str, str, str]
"""Kind, density and choices."""

PValues = dict[tuple[Cell, int], tuple[float, float]]
"""The plain and the refined p-value of each network, by cell and number."""


class ResNet(nn.Module):
    """Two residual blocks; the second has a convolution in its skip, so is not two-colorable."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(8, 16, 3), nn.Conv2d(24, 8, 3)
        self.first, self.second = nn.Conv2d(16, 24, 1), nn.Conv2d(24, 16, 1)
        self.third, self.fourth = nn.Conv2d(16, 24, 1), nn.Conv2d(24, 24, 1)
        self.projection = nn.Conv2d(16, 24, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        x = torch.relu(self.projection(x) + self.fourth(torch.relu(self.third(x))))
        return self.last(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--networks", type=int, default=300, help="of each cell")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--partial", type=Path, help="keeps the p-values of an unfinished run")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    known = read(args.partial)
    cells = list(product(KINDS, DENSITIES, CHOICES))
    first = range(args.networks)
    others = range(args.networks, args.networks + N_ANEW)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        simulate(pool, cells, first, known, args.partial)
        rows = [rates(cell, first, known) for cell in cells]
        doubtful = [cell for cell, row in zip(cells, rows, strict=True) if is_doubtful(row)]
        simulate(pool, doubtful, others, known, args.partial)
    report = {
        "question": "How often is a true null rejected at the 5 % level?",
        "n_clusters": N_CLUSTERS,
        "n_shuffles": N_SHUFFLES,
        "choices": CHOICES,
        "rates": rows,
        "rates_anew": [rates(cell, others, known) for cell in doubtful],
        "environment": environment(),
    }
    print_table(report["rates"] + report["rates_anew"])
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


@cache
def structure(kind: str) -> NeuronGraph:
    """Return the layers, blocks and copies of kernels of a kind; its strengths are not used."""
    if kind == "MLP":
        return toy.planted_mlp((32, 12, 12, 12, 8))
    if kind == "CNN":
        return neuron_graph(toy.planted_cnn((1, 16, 24, 32, 16)))
    if kind == "residual MLP":
        return toy.residual_chain(width=16, n_blocks=4)
    return neuron_graph(ResNet(), include=("input",))


def draw(kind: str, density: str, number: int) -> NeuronGraph:
    """Draw one network.

    A strength is the absolute value of a standard normal weight, or in a CNN the sum of those of
    nine, as the L1 norm of a 3 x 3 kernel is. A sparse network lacks strengths, so that in a CNN
    whole kernels are zero.
    """
    share = DENSITIES[density]
    rng = np.random.default_rng([KINDS.index(kind), round(100 * share), number])
    n_weights = 9 if kind in ("CNN", "ResNet") else 1
    of_kernel: dict[str, torch.Tensor] = {}
    blocks = []
    for i, block in enumerate(structure(kind).blocks):
        kernel = block.kernel or f"block {i}"
        if kernel not in of_kernel:
            weights = rng.standard_normal((n_weights, *block.strengths.shape))
            kept = rng.random(block.strengths.shape) < share
            of_kernel[kernel] = torch.tensor(np.abs(weights).sum(0) * kept, dtype=torch.float32)
        blocks.append(replace(block, strengths=of_kernel[kernel]))
    return NeuronGraph(structure(kind).layers, tuple(blocks))


def measure_networks(cell: Cell, numbers: Sequence[int]) -> list[tuple[float, float]]:
    """Return the plain and the refined p-value of each of these networks."""
    kind, density, choices = cell
    settings = {"workers": 1, "device": "cpu", **CHOICES[choices]}
    results = (
        measure(draw(kind, density, number), N_CLUSTERS, N_SHUFFLES, number, **settings)
        for number in numbers
    )
    return [(result.p_value, result.refined.p_value) for result in results]


def simulate(
    pool: ProcessPoolExecutor,
    cells: Sequence[Cell],
    numbers: range,
    known: PValues,
    partial: Path | None,
) -> None:
    """Measure the networks of the cells that are not known yet, and write each chunk down."""
    jobs = {}
    for cell in cells:
        missing = [number for number in numbers if (cell, number) not in known]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            jobs[pool.submit(measure_networks, cell, chunk)] = cell, chunk
    for job in tqdm(as_completed(jobs), total=len(jobs), disable=None):
        cell, chunk = jobs[job]
        found = dict(zip(((cell, number) for number in chunk), job.result(), strict=True))
        known.update(found)
        if partial is not None:
            lines = (json.dumps([*cell, number, *pair]) for (cell, number), pair in found.items())
            with partial.open("a") as file:
                file.write("\n".join(lines) + "\n")


def read(partial: Path | None) -> PValues:
    """Read the p-values of an unfinished run, and drop a last line that was cut off."""
    if partial is None or not partial.exists():
        return {}
    text, _, _ = partial.read_text().rpartition("\n")
    partial.write_text(text + "\n" if text else "")
    rows = map(json.loads, text.splitlines())
    return {
        ((kind, density, choices), number): tuple(pair)
        for kind, density, choices, number, *pair in rows
    }


def rates(cell: Cell, numbers: range, known: PValues) -> dict[str, object]:
    """Return the shares of the cell's networks whose plain and refined p-values are small."""
    p_values = np.array([known[cell, number] for number in numbers])
    # p-values are multiples of 1/20; half of one keeps rounding away from the level.
    plain, refined = (p_values <= LEVEL + 0.5 / (N_SHUFFLES + 1)).mean(0).tolist()
    kind, density, choices = cell
    return {
        "kind": kind,
        "density": density,
        "choices": choices,
        "n_networks": len(numbers),
        "plain": plain,
        "refined": refined,
    }


def is_doubtful(row: dict[str, object]) -> bool:
    """Whether a rate of the default choices is not what is accepted."""
    low, high = ACCEPTED
    inside = all(low <= row[statistic] <= high for statistic in ("plain", "refined"))
    return row["choices"] == "default" and not inside


def print_table(rows: Sequence[dict[str, object]]) -> None:
    for row in rows:
        words = (f"{row[name]:14}" for name in ("kind", "density", "choices"))
        print(*words, f"{row['n_networks']:5} {row['plain']:7.4f} {row['refined']:7.4f}")


if __name__ == "__main__":
    main()
