"""The result of reading a model file: a module that can be traced, and example inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.files.memory import check_fits
from clusterability.shown import described, listed

InputShape = Sequence[int] | Sequence[Sequence[int]]
"""The shape of one input, without its batch axis, or those of several inputs in their order."""

Shapes = tuple[tuple[int, ...], ...]
"""The shape of each input."""

EACH_SHAPE = (
    "give one for each input, in order and without the batch axis: input_shape=[(1, 28, 28), "
    "(10,)], on the command line --input-shape 1,28,28 --input-shape 10"
)

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


def each_shape(input_shape: InputShape) -> Shapes:
    """Return the shape of each input; nothing in them is checked.

    >>> each_shape((3, 8, 8)), each_shape([(3, 8, 8), (10,)])
    (((3, 8, 8),), ((3, 8, 8), (10,)))
    """
    parts: tuple[object, ...] = tuple(input_shape)
    if parts and all(isinstance(part, tuple | list) for part in parts):
        return tuple(tuple(part) for part in parts if isinstance(part, tuple | list))
    return (parts,)  # type: ignore[return-value]


def shapes_given(shapes: Sequence[Sequence[int]]) -> str:
    """Return how many shapes were given, and which, in words.

    >>> shapes_given(((3, 8, 8), (10,)))
    'input_shape gives 2 shapes, (3, 8, 8), (10,)'
    """
    return f"input_shape gives {len(shapes)} shape{'s' * (len(shapes) != 1)}, {listed(shapes)}"
