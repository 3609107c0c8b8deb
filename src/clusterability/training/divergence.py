"""Which networks of a stack can still be trained."""

from __future__ import annotations

import torch

from clusterability.training.trainable import Trainable


def are_finite(networks: Trainable) -> list[bool]:
    """Return for each network whether all of its parameters are finite.

    A loss shows it only with the next batch: the last step of an epoch may be the one that fails.
    """
    finite = torch.ones(networks.n_runs, dtype=torch.bool)
    for parameter in networks.parameters.values():
        finite &= parameter.isfinite().reshape(networks.n_runs, -1).all(1).cpu()
    return finite.tolist()
