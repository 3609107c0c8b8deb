"""The loop: one epoch of networks that are trained together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from tqdm import tqdm

from clusterability.training.pruning import PruningSchedule
from clusterability.training.recorded_step import step_of
from clusterability.training.samples import Samples
from clusterability.training.scoring import Scores
from clusterability.training.trainable import Trainable


def train_epoch(
    networks: Trainable,
    samples: Samples,
    batches: Iterable[Tensor],
    *,
    schedule: PruningSchedule | None = None,
    norm: str | None = None,
    first_step: int = 0,
    bar: tqdm[None] | None = None,
) -> Scores:
    """Take a step on each batch.

    Args:
        networks: trained in place.
        samples: the training part, n of them.
        batches: (n_runs, batch) each, the samples that each network sees.
        schedule: of pruning; None for none.
        norm: of each hidden neuron's weights, made equal before each step; None for as they are.
        first_step: of this epoch, in the schedule.
        bar: told of each step.

    Returns:
        The scores while training, as Keras reports them: with dropout, each batch before its step.
    """
    losses = torch.zeros(networks.n_runs, dtype=torch.float64, device=samples.x.device)
    n_right = torch.zeros_like(losses)
    n_seen = 0
    take_step = step_of(networks, samples)
    for step, indices in enumerate(batches, first_step):
        if norm is not None:
            networks.normalize(norm)
        if schedule is not None and schedule.is_update(step):
            networks.prune(schedule.sparsity(step), schedule.emptied(step))
        batch_losses, batch_right = take_step(indices)
        losses += batch_losses
        n_right += batch_right
        n_seen += indices.shape[1]
        if bar is not None:
            bar.update()
    networks.apply_masks()
    return Scores.from_sums(losses, n_right, n_seen, samples.is_regression)
