"""How good the networks of a stack are: losses, accuracies, penalties and sparsities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clusterability.training.objective import loss_and_gradient
from clusterability.training.penalty import Penalty
from clusterability.training.record import EpochScores, PhaseScores
from clusterability.training.samples import Samples
from clusterability.training.trainable import Trainable

EVALUATED_AT_ONCE = 500
"""Samples in one forward pass of an evaluation, which bounds the memory that a CNN takes."""


@dataclass(frozen=True)
class Scores:
    """Mean loss and share of right predictions of each network, (n_runs,) on the CPU.

    The accuracy is None in a regression.
    """

    loss: Tensor
    accuracy: Tensor | None

    @classmethod
    def from_sums(
        cls, losses: Tensor, n_right: Tensor, n_samples: int, is_regression: bool
    ) -> Scores:
        """Return the means of sums over so many samples."""
        accuracy = None if is_regression else (n_right / n_samples).cpu()
        return cls((losses / n_samples).cpu(), accuracy)

    def of(self, run: int) -> tuple[float, float | None]:
        """Return the loss and the accuracy of one network."""
        accuracy = None if self.accuracy is None else float(self.accuracy[run])
        return float(self.loss[run]), accuracy


@torch.no_grad()
def evaluate(networks: Trainable, samples: Samples) -> Scores:
    """Return the scores without dropout."""
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
    return Scores.from_sums(losses, n_right, len(samples), samples.is_regression)


def sparsities(networks: Trainable) -> list[float]:
    """Return the share of zeros among the kernels of each network."""
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


def score_epoch(
    networks: Trainable,
    penalties: Sequence[Penalty],
    train: Scores,
    test: Scores | None,
    *,
    phase: str,
    epoch: int,
    seconds: float,
) -> list[EpochScores]:
    """Return a line of the curves for each network.

    Args:
        networks: after the epoch.
        penalties: of the epoch.
        train: while training.
        test: after the epoch; None without a test part.
        phase, epoch, seconds: see :class:`EpochScores`.
    """
    each = zip(total_penalty(networks, penalties), sparsities(networks), strict=True)
    rows = []
    for run, (penalty, sparsity) in enumerate(each):
        test_loss, test_accuracy = (None, None) if test is None else test.of(run)
        rows.append(
            EpochScores(
                phase,
                epoch,
                *train.of(run),
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                penalty=penalty,
                sparsity=sparsity,
                seconds=seconds,
            )
        )
    return rows


def score_phase(last: EpochScores, final: tuple[float, float | None]) -> PhaseScores:
    """Return the scores of a phase: those of its last epoch, and of the final weights."""
    return PhaseScores(
        *final,
        last.train_loss,
        last.train_accuracy,
        last.test_loss,
        last.test_accuracy,
        last.penalty,
        last.sparsity,
    )
