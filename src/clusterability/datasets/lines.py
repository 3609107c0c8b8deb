"""LINES: images of vertical lines to count (appendix A.8 of Filan et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.streams import TEST, TRAIN, published_stream, stream

MOST_LINES = 10


def make_lines(seed: int, _: Sequence[Dataset] = ()) -> Parts:
    """Return 60,000 training and 10,000 test images of 1 to 10 lines."""
    train, test = (stream(seed, "lines", part) for part in (TRAIN, TEST))
    return line_images(train, 60_000), line_images(test, 10_000)


def make_published_lines(_seed: int, _: Sequence[Dataset] = ()) -> Parts:
    """Return the images of the published runs."""
    rng = published_stream()
    return _published_images(rng, 60_000), _published_images(rng, 10_000)


def _published_images(rng: np.random.RandomState, n: int, size: int = 28) -> Split:
    """Return ``n`` images, whose columns are drawn one by one until there are enough of them."""
    x, y = np.zeros((n, 1, size, size), np.uint8), np.empty(n, np.int64)
    for i in range(n):
        y[i] = rng.randint(1, MOST_LINES + 1) - 1
        columns: set[int] = set()
        while len(columns) <= y[i]:
            columns.add(rng.randint(0, size))
        x[i, :, :, list(columns)] = 255
    return Split(x, y)


def line_images(rng: np.random.Generator, n: int, size: int = 28) -> Split:
    """Return ``n`` black images with 1 to 10 white columns; the label is their number minus 1.

    The number of columns is uniform, and the set of columns is uniform among those of that number.
    """
    y = rng.integers(0, MOST_LINES, n)
    ranks = rng.permuted(np.tile(np.arange(size, dtype=np.uint8), (n, 1)), axis=1)
    columns = np.where(ranks <= y[:, None], np.uint8(255), np.uint8(0))
    x = np.broadcast_to(columns[:, None, None], (n, 1, size, size)).copy()
    return Split(x, y)
