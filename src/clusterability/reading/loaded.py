"""The result of reading a model file: a module that can be traced, and example inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.files.memory import check_fits
from clusterability.shown import described

MOST_ELEMENTS = 2**28
"""Most elements of an example input; a larger one is taken for a mistake."""


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


def check_input_size(subject: str, shape: Sequence[int]) -> None:
    """Refuse an example input that is too large; a file of a few bytes can claim any size.

    Raises:
        InputError: if it has more than ``MOST_ELEMENTS`` elements, or they do not fit into memory.
    """
    n_elements = math.prod(shape)
    if n_elements > MOST_ELEMENTS:
        raise InputError(
            f"{subject} of shape {described(list(shape))} has more than {MOST_ELEMENTS} elements; "
            "export the model for smaller inputs"
        )
    check_fits(f"{subject} of shape {list(shape)}", 8 * n_elements)
