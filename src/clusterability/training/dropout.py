"""Dropout whose random numbers belong to one run, also where several are computed together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def drop_(
    activations: Tensor,
    rate: float,
    generators: Sequence[torch.Generator],
    kept: Tensor | None = None,
) -> Tensor:
    """Set each activation to 0 with probability ``rate``, and divide the others by 1 - rate.

    torch's own dropout draws for a whole batch of networks at once, so that what one network draws
    would depend on those beside it. The rate is met to 1/131072; eight random bits decide where
    they can, and 16 elsewhere.

    Args:
        activations: (n_runs, ...), changed in place.
        rate: in [0, 1).
        generators: one a run, on the device of the activations.
        kept: like the activations, overwritten with 1 where one is kept and 0 elsewhere.
    """
    n_levels, dtype = (256, torch.uint8) if (rate * 256).is_integer() else (65536, torch.int16)
    n_each = activations[0].numel()
    n_words = -(-n_each * dtype.itemsize // 8)
    bits = torch.empty((len(activations), n_words), dtype=torch.int64, device=activations.device)
    for row, generator in zip(bits, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    levels = bits.view(dtype)[:, :n_each].reshape(activations.shape)
    lowest = 0 if dtype is torch.uint8 else -(n_levels // 2)
    # Comparing into floats is three times as fast as a product with booleans.
    kept = torch.empty_like(activations) if kept is None else kept
    torch.ge(levels, lowest + round(rate * n_levels), out=kept)
    return activations.mul_(kept).mul_(1 / (1 - rate))
