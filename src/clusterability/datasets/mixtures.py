"""Mixtures of LINES and MNIST (appendix A.8 of Filan et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.streams import TEST, TRAIN, stream


def make_overlapping(seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join both sets and shuffle them; every class has samples of both."""
    train, test = (
        _join_and_shuffle(stream(seed, "overlapping mixture", part), _splits(bases, part))
        for part in (TRAIN, TEST)
    )
    return train, test


def make_separate(seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join classes 0 to 4 of the first set and 5 to 9 of the second, and shuffle them."""
    parts = []
    for part in (TRAIN, TEST):
        low, high = _splits(bases, part)
        kept = [_select(low, low.y < 5), _select(high, high.y >= 5)]
        parts.append(_join_and_shuffle(stream(seed, "separate mixture", part), kept))
    return parts[0], parts[1]


def _splits(bases: Sequence[Dataset], part: int) -> list[Split]:
    splits = [base.train if part == TRAIN else base.test for base in bases]
    return [split for split in splits if split is not None]


def _select(split: Split, kept: NDArray[np.bool_]) -> Split:
    return Split(split.x[kept], split.y[kept])


def _join_and_shuffle(rng: np.random.Generator, splits: Sequence[Split]) -> Split:
    x = np.concatenate([split.x for split in splits])
    y = np.concatenate([split.y for split in splits])
    order = rng.permutation(len(y))
    return Split(x[order], y[order])
