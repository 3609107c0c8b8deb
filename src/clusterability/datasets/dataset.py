"""A data set in memory: inputs and targets for training and for testing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of the training part or of the test part of a data set.

    Attributes:
        x: (n, channels, height, width) pixels, uint8 in 0..255 or float32 in 0..1, which enter the
            network unchanged; or (n, n_features) float32.
        y: (n,) int64 classes, or (n, n_outputs) float32 targets of a regression.

    >>> from clusterability.datasets import load_dataset
    >>> test = load_dataset("digits").test
    >>> test.x.shape, test.y.shape
    ((360, 1, 8, 8), (360,))
    """

    x: NDArray[Any]
    y: NDArray[Any]


Parts = tuple[Split, Split | None]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
        name: name in :data:`clusterability.datasets.DATASETS`, or of the user's own data.
        train: training samples.
        test: test samples; None if the data set has none.
        n_classes: number of classes, which are 0 to ``n_classes - 1``; None for a regression.
        reshuffled: False if every epoch takes the samples in the same order.

    >>> from clusterability.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.name, len(digits.train.x), digits.n_classes
    ('digits', 1437, 10)
    """

    name: str
    train: Split
    test: Split | None
    n_classes: int | None
    reshuffled: bool = True
