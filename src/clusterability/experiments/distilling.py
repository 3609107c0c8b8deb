"""Fine-tune a network into clusters while it learns from the untreated network's outputs.

    python -m clusterability.experiments.distilling --out RUNS [--data-dir DIR] [--json PATH]

The loss is that of Hinton, Vinyals and Dean (2015). The command compares shares and temperatures on
the last 10,000 training images of Fashion-MNIST, which no network saw: :data:`SHARE` and
:data:`TEMPERATURE` were chosen by it, for clusters that own outputs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from clusterability.datasets import Dataset, Split, load_dataset
from clusterability.experiments.environment import environment
from clusterability.files.writing import write_whole
from clusterability.promoting import ModularPruning, cluster_tags
from clusterability.training import TrainedRun, TrainingSpec, train
from clusterability.training.pruning import PruningSchedule
from clusterability.training.samples import Samples, samples

SHARE = 0.5
"""Share of the untreated network's outputs in the loss; the rest is of the classes."""

TEMPERATURE = 4.0
"""Logits are divided by it before they are compared."""

SHARES = (0.0, 0.5, 0.9, 1.0)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
N_HELD_OUT = 10_000


def distill(
    untreated: TrainedRun,
    tags: Mapping[str, Tensor],
    data: Samples,
    share: float = SHARE,
    temperature: float = TEMPERATURE,
) -> nn.Module:
    """Prune an untreated run's network into clusters; its pruned network is the teacher.

    Epochs, batches, sparsities and Adam are those of the run's pruning.

    Args:
        untreated: a run with both phases.
        tags: of :func:`clusterability.cluster_tags`.
        data: training samples, of classes.
        share: of the teacher in the loss, from 0 to 1.
        temperature: positive.
    """
    spec, shape = untreated.spec, untreated.shape
    batch_size, epochs = spec.batch_size, spec.pruning_epochs
    assert batch_size is not None
    assert epochs is not None
    student = untreated.network("unpruned").to(data.x.device)
    teacher = untreated.network("pruned").to(data.x.device).eval()
    with torch.no_grad():
        soft = torch.cat([teacher(part) for part in torch.split(data.x, 1000)]) / temperature
    wanted, classes = soft.softmax(1), data.targets.argmax(1)
    pruning = ModularPruning(
        *(student, tags, spec.final_sparsity),
        initial_sparsity=spec.initial_sparsity,
        input_shape=shape,
    )
    optimizer = torch.optim.Adam(student.parameters(), spec.learning_rate, eps=1e-7)
    order = torch.Generator().manual_seed(spec.seed)
    n_steps = epochs * -(-len(data) // batch_size)
    schedule = PruningSchedule.over(
        n_steps, spec.initial_sparsity, spec.final_sparsity, spec.pruning_interval
    )
    student.train()
    step = 0
    for _ in range(epochs):
        drawn = torch.randperm(len(data), generator=order).to(data.x.device)
        for batch in torch.split(drawn, batch_size):
            if schedule.is_update(step):
                pruning.step(schedule.progress(step))
            logits = student(data.x[batch])
            hard = nn.functional.cross_entropy(logits, classes[batch])
            # The gradient of soft targets shrinks with the square of the temperature.
            gap = nn.functional.cross_entropy(logits / temperature, wanted[batch])
            optimizer.zero_grad()
            loss = (1 - share) * hard + share * temperature**2 * gap
            torch.autograd.backward(loss)
            optimizer.step()
            pruning.apply_()
            step += 1
    return student.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare shares and temperatures on held-out images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = hold_out(load_dataset("fashion-mnist", data_dir=args.data_dir))
    assert data.test is not None
    run = train(TrainingSpec("mlp", "fashion-mnist", seed=0), data=data, out=args.out)
    seen, held_out = (samples(data, part, torch.device("cpu")) for part in (data.train, data.test))
    untreated = run.network("pruned")
    tags = cluster_tags(*(untreated, 10), layers="hidden+outputs", seed=0, input_shape=run.shape)
    rows = []
    for share in SHARES:
        for temperature in TEMPERATURES if share else (1.0,):
            network = distill(run, tags, seen, share, temperature)
            row = {"share": share, "temperature": temperature, "accuracy": score(network, held_out)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    report = {
        "question": "Which loss fine-tunes best into clusters that own outputs?",
        "command": "python -m clusterability.experiments.distilling --out RUNS",
        "n_held_out": N_HELD_OUT,
        "untreated_accuracy": score(untreated, held_out),
        "rows": rows,
        "environment": environment(),
    }
    if args.json:
        write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())


def hold_out(data: Dataset) -> Dataset:
    """Return the data with the last training samples in place of the test samples."""
    cut = len(data.train.x) - N_HELD_OUT
    seen = Split(data.train.x[:cut], data.train.y[:cut])
    return replace(data, train=seen, test=Split(data.train.x[cut:], data.train.y[cut:]))


@torch.no_grad()
def score(network: nn.Module, data: Samples) -> float:
    """Return the accuracy."""
    right = network(data.x).argmax(1) == data.targets.argmax(1)
    return float(right.float().mean())


if __name__ == "__main__":
    main()
