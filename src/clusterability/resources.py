"""Where a measurement is computed, on which none of its numbers depends."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from clusterability.arguments import find_device, whole
from clusterability.journal import check_folder
from clusterability.workers import available_workers


@dataclass(frozen=True)
class Resources:
    """Device, threads, progress bar, and folder to resume from: no result depends on them."""

    device: torch.device
    n_workers: int
    progress: bool
    resume: str | os.PathLike[str] | None


def find_resources(
    workers: int | None, device: str, progress: bool, resume: str | os.PathLike[str] | None
) -> Resources:
    """Return where to compute, from the arguments of :func:`clusterability.measure`."""
    n_workers = available_workers() if workers is None else whole("workers", workers, 1, 10**4)
    found = find_device(device)
    if resume is not None:
        check_folder(resume)
    return Resources(found, n_workers, progress, resume)
