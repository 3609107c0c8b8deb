"""The frozen record of a data set: inputs and targets to train on and to test with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Split:
    """Samples in order: the training part of a data set, or its test part.

    Attributes:
        x: (n, channels, height, width) uint8 pixels in 0..255, or float32 as they enter the
            network (pixels in 0..1); or (n, n_features) float32.
        y: (n,) int64 classes, or (n, n_outputs) float32 targets of a regression.
    """

    x: NDArray[Any]
    y: NDArray[Any]


Parts = tuple[Split, Split | None]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
        name: as in :data:`clusterability.datasets.DATASETS`, or of one's own.
        train: the samples to train on.
        test: others of the same kind; None where a set has only those to train on.
        n_classes: classes are 0 to ``n_classes - 1``; None for a regression.
        reshuffled: False if every epoch goes through the samples in the same order.
    """

    name: str
    train: Split
    test: Split | None
    n_classes: int | None
    reshuffled: bool = True
