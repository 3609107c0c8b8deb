"""Masks that keep the largest weights, also where some weights must go before all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError

EMPTIED_BY = 0.3
"""At this share of a pruning, all weights that go first are gone."""


def cubic(progress: float, initial: float, final: float, exponent: float = 3.0) -> float:
    """Return the sparsity at a share of a pruning, from the initial to the final one.

    Source: equation 1 of Zhu and Gupta (2017).

    >>> [round(cubic(progress, 0.5, 0.9), 4) for progress in (0, 0.5, 1)]
    [0.5, 0.85, 0.9]
    """
    remaining: float = (1.0 - progress) ** exponent
    return final + (initial - final) * remaining


def emptied(progress: float) -> float:
    """Return which share of the weights that go first is gone at a share of a pruning.

    >>> [round(emptied(progress), 4) for progress in (0, 0.15, 0.3, 1)]
    [0.5, 0.9375, 1.0, 1.0]
    """
    return cubic(min(1.0, progress / EMPTIED_BY), 0.5, 1.0)


def prune(
    weights: Tensor, sparsity: float, first: Tensor | None = None, share: float = 1.0
) -> Tensor:
    """Return the mask that keeps the largest magnitudes: 1 for a kept weight, 0 for others.

    Exactly ``round(sparsity * n)`` of the n weights of each network are 0 in it; of equal
    magnitudes the first in memory are pruned first. Where weights must go first, these are the
    smallest, and at least ``round(share * n_first)`` of them are 0.

    Args:
        weights: (n_runs, ...), one layer of each network.
        sparsity: in [0, 1).
        first: of the same shape, True for those that go before all others.
        share: of these.

    Raises:
        InputError: if the sparsity is outside.

    >>> prune(torch.tensor([[0.1, -3.0, 2.0, -0.5]]), 0.5)
    tensor([[0., 1., 1., 0.]])
    >>> prune(torch.tensor([[0.1, -3.0, 2.0]]), 0.5, torch.tensor([[False, True, True]]))
    tensor([[1., 0., 0.]])
    """
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity is {sparsity}, expected at least 0 and below 1")
    magnitudes = weights.detach().abs().flatten(1)
    if magnitudes.dtype == torch.bfloat16:  # NumPy has no such numbers
        magnitudes = magnitudes.float()
    n_pruned = [round(sparsity * magnitudes.shape[1])] * len(magnitudes)
    if first is not None:
        magnitudes = magnitudes.clone()
        for run, goes in enumerate(first.flatten(1)):
            n_first = int(goes.sum())
            n_pruned[run] = max(n_pruned[run], round(share * n_first))
            if n_pruned[run] >= n_first:
                magnitudes[run].masked_fill_(goes, -1)
            else:
                magnitudes[run].masked_fill_(~goes, torch.inf)
    return _largest(magnitudes, n_pruned).view_as(weights).to(weights.dtype)


def _largest(magnitudes: Tensor, n_pruned: Sequence[int]) -> Tensor:
    """Return which entries are left without the smallest so many of each row, (n_runs, n) bool."""
    threshold = _order_statistics(magnitudes, n_pruned)
    mask = magnitudes > threshold
    n_kept = [magnitudes.shape[1] - n for n in n_pruned]
    found = mask.sum(1).tolist()
    for run in range(len(mask)):
        if found[run] != n_kept[run]:
            tied = torch.nonzero(magnitudes[run] == threshold[run]).flatten()
            n_more = n_kept[run] - found[run]
            mask[run, tied[len(tied) - n_more :]] = True
    return mask


def _order_statistics(magnitudes: Tensor, ranks: Sequence[int]) -> Tensor:
    """Return the rank-th smallest number of each row, (n_runs, 1); -inf for rank 0."""
    if magnitudes.device.type != "cpu":
        # A GPU sorts faster than it selects.
        rows = magnitudes.sort(dim=1).values
        below = torch.full_like(rows[:, :1], -torch.inf)
        return torch.cat([below, rows], 1).gather(1, rows.new_tensor(ranks).long()[:, None])
    found = [_nth_smallest(row, n) for row, n in zip(magnitudes.numpy(), ranks, strict=True)]
    return torch.tensor(found, dtype=magnitudes.dtype).unsqueeze(1)


def _nth_smallest(values: NDArray[np.float32], rank: int) -> float:
    """Return the rank-th smallest number.

    NumPy's selection is faster than torch's, but slow among many equal numbers, so the zeros of
    earlier pruning and what goes first, which is negative, are left out.
    """
    if rank == 0:
        return -np.inf
    positive = values[values > 0]
    rank -= len(values) - len(positive)
    if rank <= 0:
        n_negative = int((values < 0).sum())
        return 0.0 if rank + len(values) - len(positive) > n_negative else -1.0
    found: float = np.partition(positive, rank - 1)[rank - 1].item()
    return found
