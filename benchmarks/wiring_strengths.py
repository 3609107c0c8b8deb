"""What does the graph of a training step cost beside the absolute values of its weights alone?

    python benchmarks/wiring_strengths.py [--repeats 3000] [--json PATH]

The paper's MLP 784-256-256-256-256-10, one network and a stack of five, and the kernel norm l1 on
the paper's VGG beside ``torch.linalg.vector_norm``, which adds up the same numbers. One thread; the
calls take turns, and the shortest of each counts.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from environment import environment
from torch import Tensor

from clusterability.tracing.modules import TracedModule, trace_module
from clusterability.training import build

STACK = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    # Once it has freed a piece of 28 MB, the allocator of glibc keeps such pieces for the next call
    # (not those above 32 MB); else the system's clearing of fresh pages would be timed.
    torch.empty(7 * 2**20)
    with torch.no_grad():
        seconds = {
            "mlp": shortest(of_mlp(), args.repeats),
            f"stack_of_{STACK}": shortest(of_stack(), args.repeats // STACK),
            "vgg": shortest(of_vgg(), args.repeats // 100),
        }
    report = {
        "question": "What does a step's graph cost beside the absolute values of its weights?",
        "seconds": seconds,
        "strengths_over_absolute_values": over(seconds["mlp"], "strengths", "absolute_values"),
        "graph_over_absolute_values": over(seconds["mlp"], "graph", "absolute_values"),
        "stacked_strengths_over_absolute_values": over(
            seconds[f"stack_of_{STACK}"], "strengths", "absolute_values"
        ),
        "vector_norm_over_l1": over(seconds["vgg"], "vector_norm", "l1"),
        "environment": environment(),
    }
    for name, value in report.items():
        if "_over_" in name:
            print(f"{name:40} {value:.2f}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def of_mlp() -> dict[str, Callable[[], object]]:
    traced = trace("mlp", (1, 28, 28))
    parameters = {name: traced.parameters[name] for name in traced.wiring.parameter_names}
    return {
        "absolute_values": lambda: [weight.abs() for weight in parameters.values()],
        "strengths": lambda: traced.wiring.strengths(parameters),
        "graph": lambda: traced.wiring.graph(parameters),
    }


def of_stack() -> dict[str, Callable[[], object]]:
    traced = trace("mlp", (1, 28, 28))
    names = traced.wiring.parameter_names
    stacked = {name: torch.stack([traced.parameters[name]] * STACK) for name in names}
    return {
        "absolute_values": lambda: [weight.abs() for weight in stacked.values()],
        "strengths": lambda: traced.wiring.strengths(stacked, n_leading=1),
    }


def of_vgg() -> dict[str, Callable[[], object]]:
    traced = trace("vgg", (3, 32, 32))
    parameters = {name: traced.parameters[name] for name in traced.wiring.parameter_names}
    return {
        "l1": lambda: traced.wiring.strengths(parameters),
        "vector_norm": lambda: traced.wiring.strengths(parameters, vector_norm),
    }


def vector_norm(kernels: Tensor) -> Tensor:
    return torch.linalg.vector_norm(kernels.flatten(2), ord=1, dim=2)


def trace(name: str, shape: tuple[int, ...]) -> TracedModule:
    network = build(name, shape, 10, generator=np.random.default_rng(0)).eval()
    return trace_module(network, (torch.zeros(1, *shape),))


def shortest(calls: dict[str, Callable[[], object]], n_repeats: int) -> dict[str, float]:
    """Seconds of the quickest call of each, the calls taking turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(n_repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def over(seconds: dict[str, float], first: str, second: str) -> float:
    return seconds[first] / seconds[second]


if __name__ == "__main__":
    main()
