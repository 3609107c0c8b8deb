"""Images of random pixels with random labels: a network can only memorize them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.streams import TEST, TRAIN, published_stream, stream


def make_random(seed: int, _: Sequence[Dataset]) -> Parts:
    """Return 60,000 training and 10,000 test images (appendix A.5 of Filan et al., 2021).

    They are too many for a network to memorize.
    """
    train, test = (stream(seed, "random", part) for part in (TRAIN, TEST))
    return random_images(train, 60_000), random_images(test, 10_000)


def make_memorization(seed: int, _: Sequence[Dataset]) -> Parts:
    """Return 3,000 training images, few enough to memorize, and no test images."""
    return random_images(stream(seed, "random-memorization", TRAIN), 3_000), None


def make_published_random(_seed: int, _: Sequence[Dataset]) -> Parts:
    """Return the 60,000 training images of the published runs, and no test images.

    They were drawn by NumPy's old generator from seed 42, whatever the seed here.
    """
    rng = published_stream()
    x = rng.randint(0, 256, (60_000, 28, 28)).astype(np.uint8)
    return Split(x[:, None], rng.randint(0, 10, 60_000)), None


def make_published_memorization(seed: int, bases: Sequence[Dataset]) -> Parts:
    """Return the first 3,000 images of the published runs."""
    train, _ = make_published_random(seed, bases)
    return Split(train.x[:3_000].copy(), train.y[:3_000].copy()), None


def random_images(rng: np.random.Generator, n: int) -> Split:
    """Return ``n`` images of 28 x 28 pixels and labels in 0..9, all independent and uniform."""
    y = rng.integers(0, 10, n)
    return Split(rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), y)
