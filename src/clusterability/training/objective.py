"""What is minimized: the loss of the data, its gradient, and the penalties on the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clusterability.training.spec import TrainingSpec


def loss_and_gradient(
    outputs: Tensor, targets: Tensor, is_regression: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of each sample, its gradient, and how many predictions are right.

    The cross-entropy of softmax(outputs), or the square error averaged over the outputs.

    Args:
        outputs: (n_runs, batch, n_outputs).
        targets: likewise.
        is_regression: which loss.

    Returns:
        The sum over the batch for each run, (n_runs,); the gradient of the mean over the batch with
        respect to the outputs, (n_runs, batch, n_outputs); and the number of right predictions for
        each run, (n_runs,), 0 in a regression.
    """
    if is_regression:
        difference = outputs - targets
        n_runs, n_samples, n_outputs = outputs.shape
        losses = difference.square().sum((1, 2)) / n_outputs
        gradient = difference.mul_(2 / (n_samples * n_outputs))
        return losses, gradient, losses.new_zeros(n_runs)
    logarithms = torch.log_softmax(outputs, -1)
    losses = -(logarithms * targets).sum((1, 2))
    n_right = targets.gather(2, outputs.argmax(2, keepdim=True)).sum((1, 2))
    gradient = logarithms.exp_().sub_(targets).div_(outputs.shape[1])
    return losses, gradient, n_right


@dataclass(frozen=True)
class Penalty:
    """Sum of ``l1 * |w| + l2 * w^2`` over one layer's kernels, as Keras defines them."""

    l1: float
    l2: float

    def value(self, kernels: Tensor) -> Tensor:
        """(n_runs,), of kernels (n_runs, ...)."""
        flat = kernels.flatten(1)
        return self.l1 * flat.abs().sum(1) + self.l2 * flat.square().sum(1)

    def add_gradient(self, kernels: Tensor, gradient: Tensor) -> None:
        """Add the penalty's gradient in place; that of |w| at 0 is 0."""
        if self.l1:
            gradient.add_(kernels.sign(), alpha=self.l1)
        if self.l2:
            gradient.add_(kernels, alpha=2 * self.l2)


def penalties(spec: TrainingSpec, n_layers: int) -> list[Penalty]:
    """The penalty of each layer."""
    if not spec.mixed_l2:
        return [Penalty(spec.l1, spec.l2)] * n_layers
    first = Penalty(spec.l1 + spec.l2, 0.0)
    return [first, *[Penalty(spec.l1, spec.l2)] * (n_layers - 1)]


def total_penalty(each: Sequence[Penalty], kernels: Sequence[Tensor]) -> Tensor:
    """The sum over the layers, (n_runs,)."""
    values = [penalty.value(k) for penalty, k in zip(each, kernels, strict=True)]
    return torch.stack(values).sum(0)
