"""What do the eigenvalue penalty and normalization cost over a plain step?

    python benchmarks/penalty_cost.py [--rounds 20] [--steps 20] [--json PATH]

MLP 784-256-256-256-256-10, batches of 128 random inputs, Adam, one thread, eigenvalues 2 to 12 of
the whole graph, or algorithm 2 before each step. Two loops: plain torch with ``EigenvaluePenalty``
and ``HiddenScales``, and the package's own. The
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
from clusterability.penalties import Eigenvalues, GroupNorms, PartitionCut
from clusterability.promoting import HiddenScales
from clusterability.promoting.cluster_penalties import fill_tags, tagged_weights
from clusterability.promoting.tags import whole_wiring
from clusterability.spectral.following import Follower
from clusterability.training import TrainingSpec, build
from clusterability.training.drawing import draw_network
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.randomness import Randomness
from clusterability.training.samples import Samples

BATCH = 128
EIGENVALUES = tuple(range(2, 13))
WEIGHT = 0.1

Step = Callable[[], object]


def batches(n_samples: int = 4096) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n_samples, 784, generator=generator)
    return x, torch.randint(10, (n_samples,), generator=generator)


def plain_loop(every: int | None = None, is_normalized: bool = False) -> Step:
    """A step of a plain torch loop, with the penalty unless ``every`` is None."""
    model = build("mlp", (1, 28, 28), 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    penalty = None
    if every is not None:
        penalty = EigenvaluePenalty(model, EIGENVALUES, input_shape=(1, 28, 28), every=every)
    scales = HiddenScales(model, torch.zeros(1, 1, 28, 28)) if is_normalized else None
    x, y = batches()

    def step() -> None:
        if scales is not None:
            scales.normalize_()
        chosen = torch.randint(len(x), (BATCH,))
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        if penalty is not None:
            loss = loss + WEIGHT * penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def own_loop(every: int | None = None, is_normalized: bool = False) -> tuple[Step, MLPStack]:
    """A step of the package's own loop."""
    stack = MLPStack([build("mlp", (1, 28, 28), 10)], 1e-3, torch.device("cpu"))
    penalties = []
    if every is not None:
        penalties = [Eigenvalues(stack.kernel_names, WEIGHT, EIGENVALUES, every)]
    stack.start_epoch((), None, penalties)
    x, y = batches()
    samples = Samples(x, nn.functional.one_hot(y, 10).float(), False)

    def step() -> None:
        if is_normalized:
            stack.normalize("weights")
        stack.step(samples, torch.randint(len(x), (1, BATCH)))

    return step, stack


def clusters_loop(kind: type[GroupNorms | PartitionCut]) -> Step:
    """A step of the package's own loop with a penalty of 12 clusters of the hidden neurons."""
    spec = TrainingSpec("mlp", "mnist", tags=12, group_lasso=1e-4)
    _, stack = own_loop()
    inputs = torch.zeros(1, 1, 28, 28)
    module, tags = draw_network(spec, inputs.shape[1:], 10, Randomness(0))
    wiring, parameters = whole_wiring(module, (inputs,))
    ends = {
        weight.name: (given[None], made[None])
        for weight, (given, made) in tagged_weights(parameters, wiring, fill_tags(tags, wiring))
    }
    stack.start_epoch((), None, [kind(ends, 1e-4, spec.tags)])
    x, y = batches()
    samples = Samples(x, nn.functional.one_hot(y, 10).float(), False)
    return lambda: stack.step(samples, torch.randint(len(x), (1, BATCH)))


def errors_of_following(n_prunings: int = 10) -> dict[str, float]:
    """Largest error of an eigenvalue, of weights that are trained and pruned every ten steps."""
    step, stack = own_loop(every=1)
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
        "plain_torch": plain_loop(),
        "plain_torch_every_1": plain_loop(every=1),
        "plain_torch_every_4": plain_loop(every=4),
        "plain_torch_normalized": plain_loop(is_normalized=True),
        "own_loop": own_loop()[0],
        "own_loop_every_1": own_loop(every=1)[0],
        "own_loop_every_4": own_loop(every=4)[0],
        "own_loop_normalized": own_loop(is_normalized=True)[0],
        "own_loop_group_lasso": clusters_loop(GroupNorms),
        "own_loop_partition_penalty": clusters_loop(PartitionCut),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.rounds):
        for name, step in steps.items():
            seconds[name].append(timed(step, args.steps))
    best = {name: min(values) for name, values in seconds.items()}
    middle = {name: median(values) for name, values in seconds.items()}
    bases = ("plain_torch", "own_loop")
    pairs = [(name, base) for base in bases for name in steps if name.startswith(f"{base}_")]
    report = {
        "question": "What do the eigenvalue penalty and normalization cost over a plain step?",
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
