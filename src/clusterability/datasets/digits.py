"""The handwritten digits of 8 x 8 pixels that the package ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clusterability.datasets.dataset import Dataset, Parts, Split

PATH = Path(__file__).with_name("digits.npz")
N_TRAIN = 1437
DARKEST = 16


def load_digits(_: int = 0, __: Sequence[Dataset] = ()) -> Parts:
    """Return 1,437 training and 360 test images (n, 1, 8, 8), the same for every seed.

    Pixels of 0..16 are scaled to 0..255 and rounded.
    """
    with np.load(PATH, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"].astype(np.int64)
    pixels = np.rint(x * (255 / DARKEST)).astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    return Split(pixels[train], y[train]), Split(pixels[test], y[test])
