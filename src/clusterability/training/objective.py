"""The loss of the data and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def loss_and_gradient(
    outputs: Tensor, targets: Tensor, is_regression: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, its gradient with respect to the outputs, and the right predictions.

    The loss of a sample is the cross-entropy of softmax(outputs), or in a regression the square
    error averaged over the outputs. Both gradients are written out, not autograd's.

    Args:
        outputs: (n_runs, batch, n_outputs).
        targets: (n_runs, batch, n_outputs); of classes, 1 at the class and 0 elsewhere.
        is_regression: whether the loss is the square error.

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
