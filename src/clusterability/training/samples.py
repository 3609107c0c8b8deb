"""A data set as tensors on the device of the networks, with pixels scaled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clusterability.datasets import Dataset, Split


@dataclass(frozen=True)
class Samples:
    """Inputs and targets of one part of a data set.

    Args:
        x: (n, ...) float32; pixels are between 0 and 1.
        targets: (n, n_outputs) float32; of classes, 1 at the class and 0 elsewhere.
        is_regression: whether the targets are numbers, not classes.
    """

    x: Tensor
    targets: Tensor
    is_regression: bool

    def __len__(self) -> int:
        return len(self.x)


def samples(dataset: Dataset, split: Split, device: torch.device) -> Samples:
    """Return a part of a data set on a device."""
    x = torch.from_numpy(np.ascontiguousarray(split.x)).to(device)
    x = x.to(torch.float32).div_(255) if split.x.dtype == np.uint8 else x.to(torch.float32)
    y = torch.from_numpy(np.ascontiguousarray(split.y)).to(device)
    if dataset.n_classes is None:
        return Samples(x, y.to(torch.float32), True)
    classes = torch.nn.functional.one_hot(y.to(torch.int64), dataset.n_classes)
    return Samples(x, classes.to(torch.float32), False)


@dataclass(frozen=True)
class Data:
    """The data that all runs of one call are trained on.

    Args:
        train, test: the parts, on one device.
        reshuffled: whether each epoch has an order of its own.
        digest: SHA-256 of the arrays.
    """

    train: Samples
    test: Samples | None
    reshuffled: bool
    digest: str

    @property
    def device(self) -> torch.device:
        """The device that holds the samples."""
        return self.train.x.device

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.x.shape[1:])

    @property
    def n_outputs(self) -> int:
        """The number of classes, or of targets of a regression."""
        return self.train.targets.shape[1]


def place(dataset: Dataset, device: torch.device, digest: str) -> Data:
    """Return both parts of a data set on a device."""
    test = None if dataset.test is None else samples(dataset, dataset.test, device)
    return Data(samples(dataset, dataset.train, device), test, dataset.reshuffled, digest)


def data_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of all arrays with their shapes and types, and of how they are used."""
    digest = hashlib.sha256(repr((dataset.n_classes, dataset.reshuffled)).encode())
    for part in (dataset.train, dataset.test):
        for array in () if part is None else (part.x, part.y):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
