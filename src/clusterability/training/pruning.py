"""Magnitude pruning on a schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError


@dataclass(frozen=True)
class PruningSchedule:
    r"""The polynomial schedule of Zhu and Gupta (2017), equation 1.

    .. math:: s_t = s_f + (s_i - s_f) \left(1 - \frac{t - t_0}{t_1 - t_0}\right)^3

    Args:
        initial_sparsity: share of zeros s_i at the first update, in [0, 1).
        final_sparsity: share of zeros s_f from the last update on, in [0, 1).
        begin_step: step t_0 of the first update.
        end_step: step t_1 of the last update.
        interval: steps between updates.
        exponent: 3, as published.

    >>> schedule = PruningSchedule(0.5, 0.9, begin_step=0, end_step=100)
    >>> [round(schedule.sparsity(step), 4) for step in (0, 50, 100, 200)]
    [0.5, 0.85, 0.9, 0.9]
    """

    initial_sparsity: float = 0.5
    final_sparsity: float = 0.9
    begin_step: int = 0
    end_step: int = 0
    interval: int = 10
    exponent: float = 3.0

    @classmethod
    def over(
        cls, n_steps: int, initial_sparsity: float, final_sparsity: float, interval: int
    ) -> PruningSchedule:
        """Return the schedule over ``n_steps`` training steps, with steps counted from 0.

        It ends with the last update. The published runs ended it with the last step, between two
        updates, and so stopped a hair short of the final sparsity; here it is met to one weight.
        """
        end_step = (n_steps - 1) // interval * interval
        return cls(initial_sparsity, final_sparsity, 0, end_step, interval)

    def is_update(self, step: int) -> bool:
        """Return whether the mask is made anew before this step."""
        return (
            self.begin_step <= step <= self.end_step
            and (step - self.begin_step) % self.interval == 0
        )

    def sparsity(self, step: int) -> float:
        """Return the share of zeros from the update at this step on."""
        length = self.end_step - self.begin_step
        progress = min(1.0, max(0.0, (step - self.begin_step) / length)) if length > 0 else 1.0
        remaining: float = (1.0 - progress) ** self.exponent
        return self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * remaining


def prune(weights: Tensor, sparsity: float) -> Tensor:
    """Return the mask that keeps the largest magnitudes: 1 for a kept weight, 0 for others.

    Exactly ``round(sparsity * n)`` of the n weights of each network are 0 in it; of equal
    magnitudes the first in memory are pruned first.

    Args:
        weights: (n_runs, ...), one layer of each network.
        sparsity: in [0, 1).

    Raises:
        InputError: if the sparsity is outside.

    >>> prune(torch.tensor([[0.1, -3.0, 2.0, -0.5]]), 0.5)
    tensor([[0., 1., 1., 0.]])
    """
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity is {sparsity}, expected at least 0 and below 1")
    magnitudes = weights.detach().abs().flatten(1)
    n_pruned = round(sparsity * magnitudes.shape[1])
    if n_pruned == 0:
        return torch.ones_like(weights)
    threshold = _order_statistic(magnitudes, n_pruned)
    mask = magnitudes > threshold
    n_kept = magnitudes.shape[1] - n_pruned
    for run in torch.nonzero(mask.sum(1) != n_kept).flatten().tolist():
        tied = torch.nonzero(magnitudes[run] == threshold[run]).flatten()
        n_more = n_kept - int(mask[run].sum())
        mask[run, tied[len(tied) - n_more :]] = True
    return mask.view_as(weights).to(weights.dtype)


def _order_statistic(magnitudes: Tensor, rank: int) -> Tensor:
    """Return the rank-th smallest number of each row, (n_runs, 1)."""
    if magnitudes.device.type != "cpu":
        # A GPU sorts faster than it selects.
        return magnitudes.sort(dim=1).values[:, rank - 1 : rank]
    found = [_nth_smallest(row, rank) for row in magnitudes.numpy()]
    return torch.tensor(found, dtype=magnitudes.dtype).unsqueeze(1)


def _nth_smallest(values: NDArray[np.float32], rank: int) -> float:
    """Return the rank-th smallest number.

    NumPy's selection is faster than torch's, but slow among many equal numbers, so the zeros of
    earlier pruning are left out.
    """
    positive = values[values > 0]
    rank -= len(values) - len(positive)
    if rank <= 0:
        return 0.0
    found: float = np.partition(positive, rank - 1)[rank - 1].item()
    return found
