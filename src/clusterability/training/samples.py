"""A data set where the network is: scaled, as tensors on one device."""

from __future__ import annotations

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
    """Put a part of a data set on a device."""
    x = torch.from_numpy(np.ascontiguousarray(split.x)).to(device)
    x = x.to(torch.float32).div_(255) if split.x.dtype == np.uint8 else x.to(torch.float32)
    y = torch.from_numpy(np.ascontiguousarray(split.y)).to(device)
    if dataset.n_classes is None:
        return Samples(x, y.to(torch.float32), True)
    classes = torch.nn.functional.one_hot(y.to(torch.int64), dataset.n_classes)
    return Samples(x, classes.to(torch.float32), False)
