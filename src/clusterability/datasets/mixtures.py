"""Mixtures of LINES and MNIST (appendix A.8 of Filan et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.streams import TEST, TRAIN, published_stream, stream


def make_overlapping(seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join both sets and shuffle them; every class has samples of both."""
    train, test = (
        _join_and_shuffle(stream(seed, "overlapping mixture", part), _splits(bases, part))
        for part in (TRAIN, TEST)
    )
    return train, test


def make_separate(seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join classes 0 to 4 of the first set and 5 to 9 of the second, and shuffle them."""
    train, test = (
        _join_and_shuffle(stream(seed, "separate mixture", part), _halves(bases, part))
        for part in (TRAIN, TEST)
    )
    return train, test


def make_published_overlapping(_seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join both sets in the order of the published runs."""
    rng = published_stream()
    train, test = (_join_and_shuffle(rng, _splits(bases, part)) for part in (TRAIN, TEST))
    return train, test


def make_published_separate(_seed: int, bases: Sequence[Dataset]) -> Parts:
    """Join classes 0 to 4 and 5 to 9 in the order of the published runs."""
    rng = published_stream()
    train, test = (_join_and_shuffle(rng, _halves(bases, part)) for part in (TRAIN, TEST))
    return train, test


def _splits(bases: Sequence[Dataset], part: int) -> list[Split]:
    splits = [base.train if part == TRAIN else base.test for base in bases]
    return [split for split in splits if split is not None]


def _halves(bases: Sequence[Dataset], part: int) -> list[Split]:
    low, high = _splits(bases, part)
    return [_select(low, low.y < 5), _select(high, high.y >= 5)]


def _select(split: Split, kept: NDArray[np.bool_]) -> Split:
    return Split(split.x[kept], split.y[kept])


def _join_and_shuffle(
    rng: np.random.Generator | np.random.RandomState, splits: Sequence[Split]
) -> Split:
    x = np.concatenate([split.x for split in splits])
    y = np.concatenate([split.y for split in splits])
    order = rng.permutation(len(y))
    return Split(x[order], y[order])
