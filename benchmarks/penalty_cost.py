"""What does the eigenvalue penalty cost over a plain step, and how near are its eigenvalues?

    python benchmarks/penalty_cost.py [--rounds 20] [--steps 20] [--json PATH]

MLP 784-256-256-256-256-10, batches of 128 random inputs, Adam, one thread, eigenvalues 2 to 12 of
the whole graph. Two loops: plain torch with ``EigenvaluePenalty``, and the package's own. The
variants take turns in one run, by the processor's time; of each the shortest round counts, and the
median is beside it.
The network is trained all the while, so that the eigenvalues are those of moving weights; their
error is held against a dense solution after each round, and after each of ten prunings.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

from clusterability import EigenvaluePenalty, NeuronGraph
from clusterability.experiments.environment import environment
from clusterability.penalties import Eigenvalues
from clusterability.spectral.following import Follower
from clusterability.training import build
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.samples import Samples

BATCH = 128
EIGENVALUES = tuple(range(2, 13))
WEIGHT = 0.1

Step = Callable[[], object]


def batches(n_samples: int = 4096) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n_samples, 784, generator=generator)
    return x, torch.randint(10, (n_samples,), generator=generator)


def plain_loop(every: int | None) -> Step:
    """A step of a plain torch loop, with the penalty unless ``every`` is None."""
    model = build("mlp", (1, 28, 28), 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    penalty = None
    if every is not None:
        penalty = EigenvaluePenalty(model, EIGENVALUES, input_shape=(1, 28, 28), every=every)
    x, y = batches()

    def step() -> None:
        chosen = torch.randint(len(x), (BATCH,))
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        if penalty is not None:
            loss = loss + WEIGHT * penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def own_loop(is_penalized: bool) -> tuple[Step, MLPStack]:
    """A step of the package's own loop."""
    stack = MLPStack([build("mlp", (1, 28, 28), 10)], 1e-3, torch.device("cpu"))
    penalty = Eigenvalues(stack.kernel_names, WEIGHT, EIGENVALUES)
    stack.start_epoch((), None, [penalty] if is_penalized else [])
    x, y = batches()
    samples = Samples(x, nn.functional.one_hot(y, 10).float(), False)
    return lambda: stack.step(samples, torch.randint(len(x), (1, BATCH))), stack


def errors_of_following(n_prunings: int = 10) -> dict[str, float]:
    """Largest error of an eigenvalue, of weights that are trained and pruned every ten steps."""
    step, stack = own_loop(True)
    follower, found = Follower(EIGENVALUES[-1]), {"between_prunings": 0.0, "after_pruning": 0.0}
    for i in range(10 * n_prunings):
        is_pruned = i % 10 == 0 and i > 0
        if is_pruned:
            stack.prune(0.5 + 0.4 * i / (10 * n_prunings))
        graph = NeuronGraph.chain([kernels[0].abs().T for kernels in stack.kernels])
        values = follower(graph).values
        if is_pruned or i % 10 == 9:
            exact = Follower(EIGENVALUES[-1], dense_side=10**6)(graph).values
            name = "after_pruning" if is_pruned else "between_prunings"
            found[name] = max(found[name], float((values - exact).abs().amax()))
        step()
    return found


def timed(step: Step, n_steps: int) -> float:
    """Return the processor's seconds for a step; other processes lengthen the clock's more."""
    started = time.process_time()
    for _ in range(n_steps):
        step()
    return (time.process_time() - started) / n_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20, help="in a round; a multiple of 4")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # as training does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    steps = {
        "plain_torch": plain_loop(None),
        "plain_torch_every_1": plain_loop(1),
        "plain_torch_every_4": plain_loop(4),
        "own_loop": own_loop(False)[0],
        "own_loop_penalized": own_loop(True)[0],
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.rounds):
        for name, step in steps.items():
            seconds[name].append(timed(step, args.steps))
    best = {name: min(values) for name, values in seconds.items()}
    middle = {name: median(values) for name, values in seconds.items()}
    pairs = [
        ("plain_torch_every_1", "plain_torch"),
        ("plain_torch_every_4", "plain_torch"),
        ("own_loop_penalized", "own_loop"),
    ]
    report = {
        "question": "What does the eigenvalue penalty cost over a plain step?",
        "eigenvalues": EIGENVALUES,
        "best_seconds": best,
        "median_seconds": middle,
        "best_over_plain": {name: best[name] / best[base] for name, base in pairs},
        "median_over_plain": {name: middle[name] / middle[base] for name, base in pairs},
        "largest_error_of_an_eigenvalue": errors_of_following(),
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    shown = {name: report[name] for name in report if name not in ("environment", "eigenvalues")}
    print(json.dumps(shown, indent=2))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
