"""The loop: one epoch of networks that are trained together, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from clusterability.training.objective import loss_and_gradient
from clusterability.training.penalty import Penalty
from clusterability.training.pruning import PruningSchedule
from clusterability.training.samples import Samples
from clusterability.training.trainable import Trainable

EVALUATED_AT_ONCE = 500
"""Samples in one forward pass of an evaluation: the small CNN then takes some 200 MB."""


@dataclass(frozen=True)
class Scores:
    """Mean loss and share of right predictions of each network, (n_runs,) on the CPU."""

    loss: Tensor
    accuracy: Tensor


def train_epoch(
    networks: Trainable,
    samples: Samples,
    order: Tensor,
    batch_size: int,
    *,
    schedule: PruningSchedule | None = None,
    first_step: int = 0,
    bar: tqdm[None] | None = None,
) -> Scores:
    """Train on every sample once.

    Args:
        networks: trained in place.
        samples: the training part.
        order: (n_runs, n), the order in which each network sees the samples.
        batch_size: the last batch may be smaller.
        schedule: of pruning; None for none.
        first_step: of this epoch, in the schedule.
        bar: told of each step.

    Returns:
        The scores while training, as Keras reports them: with dropout, each batch before its step.
    """
    losses = torch.zeros(networks.n_runs, dtype=torch.float64, device=samples.x.device)
    n_right = torch.zeros_like(losses)
    for step, indices in enumerate(torch.split(order, batch_size, dim=1), first_step):
        if schedule is not None and schedule.is_update(step):
            networks.prune(schedule.sparsity(step))
        batch_losses, batch_right = networks.step(samples, indices)
        losses += batch_losses
        n_right += batch_right
        if bar is not None:
            bar.update()
    return Scores((losses / order.shape[1]).cpu(), (n_right / order.shape[1]).cpu())


@torch.no_grad()
def evaluate(networks: Trainable, samples: Samples) -> Scores:
    """The scores without dropout."""
    losses = torch.zeros(networks.n_runs, dtype=torch.float64, device=samples.x.device)
    n_right = torch.zeros_like(losses)
    for x, targets in zip(
        torch.split(samples.x, EVALUATED_AT_ONCE),
        torch.split(samples.targets, EVALUATED_AT_ONCE),
        strict=True,
    ):
        outputs = networks.outputs(x)
        expected = targets.expand(networks.n_runs, *targets.shape)
        batch_losses, _, batch_right = loss_and_gradient(outputs, expected, samples.is_regression)
        losses += batch_losses
        n_right += batch_right
    return Scores((losses / len(samples)).cpu(), (n_right / len(samples)).cpu())


def sparsities(networks: Trainable) -> list[float]:
    """Share of zeros among the kernels of each network."""
    kernels = [networks.parameters[name] for name in networks.kernel_names]
    zeros = torch.stack([(k == 0).flatten(1).sum(1) for k in kernels]).sum(0)
    n_weights = sum(k[0].numel() for k in kernels)
    return [count / n_weights for count in zeros.tolist()]


def total_penalty(networks: Trainable, penalties: Sequence[Penalty]) -> list[float]:
    """Return the sum of the penalties on each network."""
    total = torch.zeros(networks.n_runs)
    for penalty in penalties:
        total += penalty.value(networks.parameters).cpu()
    found: list[float] = total.tolist()
    return found
