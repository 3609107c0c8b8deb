"""What a model file becomes: a module that can be traced, and inputs to trace it with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Loaded:
    """A module in evaluation mode, one example of each input, and what was done to the file."""

    module: nn.Module
    example_inputs: tuple[Tensor, ...]
    notes: tuple[str, ...] = ()
