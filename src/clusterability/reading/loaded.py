"""The result of reading a model file: a module that can be traced, and example inputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Loaded:
    """A model read from a file.

    Attributes:
        module: the model in evaluation mode.
        example_inputs: one tensor for each input, to trace the module with.
        notes: remarks for the user about changes made in reading.
    """

    module: nn.Module
    example_inputs: tuple[Tensor, ...]
    notes: tuple[str, ...] = ()
