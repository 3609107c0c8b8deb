"""Runs whose numbers became NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from clusterability.training.record import EpochScores
from clusterability.training.trainable import Trainable


def find_diverged(networks: Trainable, rows: Sequence[EpochScores]) -> list[int]:
    """Return the indices of the runs that have NaN or infinity in their scores or parameters.

    Args:
        networks: after an epoch.
        rows: the scores of the epoch, for each network.
    """
    finite = _are_finite(networks)
    return [run for run, row in enumerate(rows) if not finite[run] or not _is_finite(row)]


def _is_finite(row: EpochScores) -> bool:
    return all(math.isfinite(value) for value in vars(row).values() if isinstance(value, float))


def _are_finite(networks: Trainable) -> list[bool]:
    """Return for each network whether all of its parameters are finite.

    The loss of the next batch would show it too, but the epoch's last step has no next batch.
    """
    finite = torch.ones(networks.n_runs, dtype=torch.bool)
    for parameter in networks.parameters.values():
        finite &= parameter.isfinite().reshape(networks.n_runs, -1).all(1).cpu()
    found: list[bool] = finite.tolist()
    return found
