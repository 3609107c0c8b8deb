"""Weights and batch-norm statistics as of a network that has seen data."""

from __future__ import annotations

import torch
from torch import nn


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation and float64, with random weights, scales and statistics, in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.double().eval().parameters():
            parameter.normal_(generator=generator)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 2, generator=generator)
    return model
