"""HALVES and STACK: samples of two images, side by side or in two channels.

Source: sections 2.1 and 3.2 of Filan et al. (2021). With the same seed both have the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.resizing import resize
from clusterability.datasets.streams import TEST, TRAIN, stream

Kind = Literal["same", "diff", "same-published"]
"""``same-published`` draws the partners as the published runs did, see :func:`same_pairs`."""


def halves(kind: Kind) -> Callable[[int, Sequence[Dataset]], Parts]:
    """Return the maker of a HALVES set: two images of half the width, side by side."""

    def make(seed: int, bases: Sequence[Dataset]) -> Parts:
        return _make(seed, bases[0], kind, half_width, side_by_side)

    return make


def stack(kind: Kind) -> Callable[[int, Sequence[Dataset]], Parts]:
    """Return the maker of a STACK set: two images, each in its own channel."""

    def make(seed: int, bases: Sequence[Dataset]) -> Parts:
        return _make(seed, bases[0], kind, np.asarray, in_channels)

    return make


def _make(
    seed: int,
    base: Dataset,
    kind: Kind,
    prepare: Callable[[NDArray[Any]], NDArray[Any]],
    join: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
) -> Parts:
    splits = []
    for part, split in ((TRAIN, base.train), (TEST, base.test)):
        assert split is not None
        rng = stream(seed, f"{base.name}-pairs-{kind}", part)
        if kind == "diff":
            first, second, y = random_pairs(split.y, rng)
        else:
            first, second, y = same_pairs(split.y, rng, of_first=kind == "same-published")
        images = prepare(split.x)
        splits.append(Split(join(images[first], images[second]), y))
    return splits[0], splits[1]


def same_pairs(
    y: NDArray[np.int64], rng: np.random.Generator, of_first: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Pair every sample with a random one of its class.

    Args:
        y: classes, (n,).
        rng: draws the partners.
        of_first: draw them among the first samples of a class, as many as the smallest class has,
            as the published runs did.

    Returns the indices of the first samples, of the second ones, and the classes; each (n,).
    """
    by_class = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    starts = np.cumsum(counts) - counts
    n_partners = np.minimum(counts, counts[counts > 0].min()) if of_first else counts
    second = by_class[starts[y] + rng.integers(0, n_partners[y])]
    return np.arange(len(y)), second, y.copy()


def random_pairs(
    y: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Draw as many random pairs as there are samples.

    Returns the indices of the first samples, of the second ones, and the labels: the sums of the
    two classes modulo 10; each (n,).
    """
    first, second = rng.integers(0, len(y), (2, len(y)))
    return first, second, (y[first] + y[second]) % 10


def half_width(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Resize images to half the width, scale the whole set to a maximum of 255, and round."""
    height, width = images.shape[2:]
    small = resize(images, (height, width // 2))
    small *= 255 / max(small.max(), 1e-300)
    return np.rint(small, out=small).astype(np.uint8)


def side_by_side(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Join images along the width."""
    return np.concatenate([left, right], axis=3)


def in_channels(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Join images along the channels."""
    return np.concatenate([first, second], axis=1)
