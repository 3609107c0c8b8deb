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

    Differs from :func:`torch.nn.functional.dropout` in that

    1. each run has a generator of its own, so that its numbers do not depend on the runs beside it;
    2. a number has eight random bits if the rate is a multiple of 1/256, and else 16, which meet
       the rate to 1/131072.

    Args:
        activations: (n_runs, ...), changed in place.
        rate: in [0, 1).
        generators: one for each run, on the device of the activations.
        kept: buffer for the mask, of the activations' shape and type: 1 for a kept activation, 0
            for a dropped one.

    Returns:
        The activations.
    """
    n_levels, dtype = (256, torch.uint8) if (rate * 256).is_integer() else (65536, torch.int16)
    n_each = activations[0].numel()
    n_words = -(-n_each * dtype.itemsize // 8)
    bits = torch.empty((len(activations), n_words), dtype=torch.int64, device=activations.device)
    for row, generator in zip(bits, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    levels = bits.view(dtype)[:, :n_each].reshape(activations.shape)
    lowest = 0 if dtype is torch.uint8 else -(n_levels // 2)
    # A product with floats is faster than one with booleans.
    kept = torch.empty_like(activations) if kept is None else kept
    torch.ge(levels, lowest + round(rate * n_levels), out=kept)
    return activations.mul_(kept).mul_(1 / (1 - rate))
