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
from clusterability.datasets.streams import TEST, TRAIN, published_stream, stream

Kind = Literal["same", "diff"]
"""Of one class, or of any."""

Draw = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]
"""The indices of the first images, of the second ones, and the labels; each (n,)."""


def halves(kind: Kind, published: bool = False) -> Callable[[int, Sequence[Dataset]], Parts]:
    """Return the maker of a HALVES set: two images of half the width, side by side.

    If published, the pairs are those of the published runs, whatever the seed.
    """

    def make(seed: int, bases: Sequence[Dataset]) -> Parts:
        return _make(None if published else seed, bases[0], kind, half_width, side_by_side)

    return make


def stack(kind: Kind, published: bool = False) -> Callable[[int, Sequence[Dataset]], Parts]:
    """Return the maker of a STACK set: two images, each in its own channel; as :func:`halves`."""

    def make(seed: int, bases: Sequence[Dataset]) -> Parts:
        return _make(None if published else seed, bases[0], kind, np.asarray, in_channels)

    return make


def _make(
    seed: int | None,
    base: Dataset,
    kind: Kind,
    prepare: Callable[[NDArray[Any]], NDArray[Any]],
    join: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
) -> Parts:
    splits, published = [], published_stream()
    for part, split in ((TRAIN, base.train), (TEST, base.test)):
        assert split is not None
        if seed is None:
            draw = published_same_pairs if kind == "same" else published_random_pairs
            first, second, y = draw(split.y, published)
        else:
            rng = stream(seed, f"{base.name}-pairs-{kind}", part)
            first, second, y = (same_pairs if kind == "same" else random_pairs)(split.y, rng)
        images = prepare(split.x)
        splits.append(Split(join(images[first], images[second]), y))
    return splits[0], splits[1]


def same_pairs(y: NDArray[np.int64], rng: np.random.Generator) -> Draw:
    """Pair every sample, of classes (n,), with a random one of its class."""
    by_class, starts, counts = _classes(y)
    return np.arange(len(y)), by_class[starts[y] + rng.integers(0, counts[y])], y.copy()


def random_pairs(y: NDArray[np.int64], rng: np.random.Generator) -> Draw:
    """Draw as many random pairs as there are samples, of classes (n,).

    Labels are the sums of the two classes modulo 10.
    """
    first, second = rng.integers(0, len(y), (2, len(y)))
    return first, second, (y[first] + y[second]) % 10


def published_same_pairs(y: NDArray[np.int64], rng: np.random.RandomState) -> Draw:
    """Pair every sample as the published runs did: with one of the first of its class.

    Partners are drawn among as many of each class as the smallest has.
    """
    by_class, starts, counts = _classes(y)
    partners = rng.randint(0, counts[counts > 0].min(), len(y))
    return np.arange(len(y)), by_class[starts[y] + partners], y.copy()


def published_random_pairs(y: NDArray[np.int64], rng: np.random.RandomState) -> Draw:
    """Draw random pairs as the published runs did: the two of a pair one after the other."""
    first, second = rng.randint(0, len(y), (len(y), 2)).T
    return first, second, (y[first] + y[second]) % 10


def _classes(
    y: NDArray[np.int64],
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return the samples ordered by class, where each class begins, and how many it has."""
    counts = np.bincount(y)
    return np.argsort(y, kind="stable"), np.cumsum(counts) - counts, counts


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
