"""Independent random numbers for every use, found again from the seed alone.

The numbers of a run depend on its seed, the attempt, the use, the phase and the epoch, and on
nothing else. They do not depend on earlier numbers, so that a killed run goes on with the numbers
that it would have drawn, nor on the runs beside it in a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch


class Use(IntEnum):
    """The use of random numbers. Another value would give other numbers for the same seed."""

    INITIALIZATION = 0
    ORDER = 1
    DROPOUT = 2
    AUGMENTATION = 3
    TAGS = 4


@dataclass(frozen=True)
class Randomness:
    """The random numbers of one run.

    Args:
        seed: the run's seed.
        attempt: 0, or how often the run was begun again because its n-cut was near zero.
    """

    seed: int
    attempt: int = 0

    def sequence(self, use: Use, phase: int = 0, epoch: int = 0) -> np.random.SeedSequence:
        """Return the seed of one use in one epoch."""
        return np.random.SeedSequence(self.seed, spawn_key=(self.attempt, use, phase, epoch))

    def numpy(self, use: Use, phase: int = 0, epoch: int = 0) -> np.random.Generator:
        """Return NumPy's generator for one use in one epoch."""
        return np.random.default_rng(self.sequence(use, phase, epoch))

    def torch(
        self, use: Use, phase: int = 0, epoch: int = 0, device: torch.device | str = "cpu"
    ) -> torch.Generator:
        """Return torch's generator for one use in one epoch.

        Its numbers depend on the kind of device.
        """
        (state,) = self.sequence(use, phase, epoch).generate_state(1, np.uint64)
        return torch.Generator(device).manual_seed(int(state) >> 1)
