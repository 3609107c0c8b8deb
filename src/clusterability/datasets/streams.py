"""Random generators of the data sets that are made from a seed."""

from __future__ import annotations

import zlib

import numpy as np

TRAIN, TEST = 0, 1


PUBLISHED_SEED = 42
"""Seed of the published data sets."""


def published_stream() -> np.random.RandomState:
    """Return the generator that the published data sets were drawn from, NumPy's old one.

    Source: ``src/generate_datasets.py`` and ``src/mix_datasets.py`` of
    https://github.com/dfilan/clusterability_in_neural_networks.
    """
    return np.random.RandomState(PUBLISHED_SEED)


def stream(seed: int, purpose: str, part: int) -> np.random.Generator:
    """Return the random generator of one part of one data set.

    Args:
        seed: seed that the user chose.
        purpose: a text; different texts give independent generators.
        part: :data:`TRAIN` or :data:`TEST`.
    """
    key = (zlib.crc32(purpose.encode()), part)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
