"""A data set in memory: inputs and targets for training and for testing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from clusterability.shown import quoted, shown


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

    @property
    def arrays(self) -> str:
        """The types and shapes of the arrays."""
        arrays = (("x", self.x), ("y", self.y))
        return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays)

    def __repr__(self) -> str:
        return f"Split({self.arrays})"


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
        source: reference for the data; None if it is not known.

    >>> from clusterability.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.name, len(digits.train.x), digits.n_classes
    ('digits', 1437, 10)
    >>> digits
    Dataset 'digits': 10 classes; from Alpaydin and Kaynak (1998), https://archive.ics.uci.edu/dataset/80
    train: x uint8 (1437, 1, 8, 8), y int64 (1437,)
    test: x uint8 (360, 1, 8, 8), y int64 (360,)
    """

    name: str
    train: Split
    test: Split | None
    n_classes: int | None
    reshuffled: bool = True
    source: str | None = None

    def __repr__(self) -> str:
        kind = "regression" if self.n_classes is None else f"{self.n_classes} classes"
        source = f"; from {shown(self.source, 200)}" if self.source else ""
        parts = [f"train: {self.train.arrays}"]
        parts += [f"test: {self.test.arrays}"] if self.test else ["no test samples"]
        return "\n".join([f"Dataset {quoted(self.name)}: {kind}{source}", *parts])
