"""Random numbers of the sets that are made from a seed."""

from __future__ import annotations

import zlib

import numpy as np

TRAIN, TEST = 0, 1


def stream(seed: int, purpose: str, part: int) -> np.random.Generator:
    """The generator of one part of one data set.

    Args:
        seed: the user's.
        purpose: keeps the streams of different sets, and those of training, apart.
        part: :data:`TRAIN` or :data:`TEST`.
    """
    key = (zlib.crc32(purpose.encode()), part)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
