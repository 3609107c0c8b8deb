"""Example inputs, with which a forward pass is traced. Only shapes and types matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.func import functional_call
from torch.utils import _pytree

from clusterability.errors import InputError
from clusterability.reading.loaded import (
    EACH_SHAPE,
    MOST_ELEMENTS,
    Shapes,
    each_shape,
    shapes_given,
)
from clusterability.shown import described, quoted
from clusterability.tracing.exporting import (
    Named,
    as_arguments,
    check_traceable,
    evaluating_copy,
    quiet,
)
from clusterability.tracing.signatures import Takes, signature_of

SIDES = (224, 32, 28, 299, 64, 96, 256, *range(4, 129))
"""Sizes of images to try, those of ImageNet, CIFAR and MNIST first."""

LENGTHS = (1024, 128, 256, 16000, *range(4, 129))
"""Lengths of sequences to try."""

EDGES = (32, 16, 64, *range(4, 33))
"""Sizes of volumes to try."""

_CONVOLUTIONS = {
    **dict.fromkeys((nn.Conv1d, nn.ConvTranspose1d), 1),
    **dict.fromkeys((nn.Conv2d, nn.ConvTranspose2d), 2),
    **dict.fromkeys((nn.Conv3d, nn.ConvTranspose3d), 3),
}


def check_example_inputs(inputs: Any) -> tuple[Any, ...]:
    """Return the arguments of the forward pass as a tuple.

    Args:
        inputs: a tensor, a sequence of arguments, or a dictionary of arguments by name.

    Raises:
        InputError: if it holds no tensor.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else inputs
    if isinstance(given, tuple) and len(given) == 1 and isinstance(given[0], Named):
        return given
    leaves = _pytree.tree_leaves(dict(given) if isinstance(given, Mapping) else given)
    if isinstance(given, Mapping) and all(isinstance(name, str) for name in given):
        given = (Named(given),)
    if not isinstance(given, tuple | list) or not any(isinstance(x, Tensor) for x in leaves):
        raise InputError(
            f"example_inputs is {described(inputs)}, expected a tensor, a tuple of tensors or a "
            "dictionary of them by the names of arguments, such as torch.zeros(1, 3, 224, 224)"
        )
    return tuple(given)


def check_input_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of one input without its batch axis, as a tuple.

    Raises:
        InputError: if it is no sequence of positive integers, or too large.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not shape:
        raise InputError(f"input_shape is {described(shape)}, expected sizes such as (3, 224, 224)")
    for size in shape:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(
                f"input_shape holds {described(size)}, expected positive integers such as "
                "(3, 224, 224), without the batch axis"
            )
    if math.prod(shape) > MOST_ELEMENTS:
        raise InputError(
            f"input_shape {tuple(shape)} has more than {MOST_ELEMENTS} elements; give the size of "
            "one input, without the batch axis"
        )
    return tuple(shape)


def check_input_shapes(shape: Any) -> Shapes:
    """Return the shapes of the inputs, of which a sequence of shapes has several.

    Raises:
        InputError: if one is no sequence of positive integers, or too large.

    >>> check_input_shapes((3, 8, 8)), check_input_shapes([(3, 8, 8), (10,)])
    (((3, 8, 8),), ((3, 8, 8), (10,)))
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        return (check_input_shape(shape),)
    return tuple(map(check_input_shape, each_shape(shape)))


def check_inputs(
    example_inputs: Any, input_shape: Any
) -> tuple[tuple[Any, ...] | None, Shapes | None]:
    """Return the example inputs and the shapes, checked, of which at most one is not None.

    Raises:
        InputError: if one cannot be used, or both are given.
    """
    shapes = None if input_shape is None else check_input_shapes(input_shape)
    inputs = None if example_inputs is None else check_example_inputs(example_inputs)
    if shapes is not None and inputs is not None:
        raise InputError("example_inputs and input_shape both tell the input; give one of them")
    return inputs, shapes


def inputs_to_trace(
    module: nn.Module, example_inputs: Any, input_shape: Any
) -> tuple[Any, ...] | None:
    """Return the arguments with which a module is traced; None if they are to be guessed.

    Raises:
        InputError: if one cannot be used, or both are given.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"model is {described(module)}, expected a torch.nn.Module")
    inputs, shapes = check_inputs(example_inputs, input_shape)
    return inputs if shapes is None else inputs_of_shapes(module, shapes)


def inputs_of_shapes(module: nn.Module, shapes: Sequence[Sequence[int]]) -> tuple[Any, ...]:
    """Return a batch of one example, all zeros, in the module's precision and on its device.

    Raises:
        InputError: if the forward pass takes fewer or more inputs.
    """
    check_traceable(module)
    takes = signature_of(module)
    inputs = _zeros(module, takes, shapes)
    if takes is None or takes.n_required <= len(shapes) <= len(takes.names):
        return inputs
    may_fit = not takes.is_certain and len(shapes) < takes.n_required
    if may_fit and _fits(evaluating_copy(module), inputs):
        return inputs
    raise InputError(f"{type(module).__name__}: {takes}, but {shapes_given(shapes)}; {EACH_SHAPE}")


def _zeros(
    module: nn.Module, takes: Takes | None, shapes: Sequence[Sequence[int]]
) -> tuple[Any, ...]:
    """Return zeros of these shapes, those by name that are taken so."""
    parameters = [t for t in module.parameters() if t.is_floating_point()]
    like = parameters[0] if parameters else torch.zeros(())
    zeros = [torch.zeros(1, *shape, dtype=like.dtype, device=like.device) for shape in shapes]
    if takes is None:
        return tuple(zeros)
    given = dict(zip(takes.names, zeros, strict=False))
    by_name = [name for name in given if name in takes.by_name]
    named = Named({name: given.pop(name) for name in by_name})
    return (*given.values(), named) if named else tuple(zeros)


def inferred_inputs(module: nn.Module) -> tuple[tuple[Any, ...], str]:
    """Return inputs guessed from the module's first weight layer, and a note that says so.

    A linear layer gives the size; for a convolution, common sizes of images are tried.

    Raises:
        InputError: if no guess fits.
    """
    check_traceable(module)
    takes = signature_of(module)
    if takes is not None and takes.is_certain and not takes.names:
        raise InputError(
            f"{type(module).__name__}: the forward pass takes no input, so that nothing is "
            "connected; measure a module that takes one"
        )
    several = takes is not None and takes.n_required > 1
    is_certain = takes is None or takes.is_certain
    found = None if several and is_certain else _first_fitting(module, takes, several)
    if found is None and several:
        raise InputError(
            f"{type(module).__name__}: {takes}, whose shapes its layers do not tell; give "
            f"example_inputs, a tensor for each, or the shapes alone: {EACH_SHAPE}"
        )
    if found is None:
        raise InputError(_unknown_shape(module))
    return found


def _first_fitting(
    module: nn.Module, takes: Takes | None, must_fit: bool
) -> tuple[tuple[Any, ...], str] | None:
    """Return the first guess that fits, with a note; None if none does."""
    path, shapes = _guesses(module)
    twin = evaluating_copy(module)
    for shape in shapes:
        inputs = _zeros(module, takes, (shape,))
        # The export explains why a single guess fails.
        if (len(shapes) == 1 and not must_fit) or _fits(twin, inputs):
            return inputs, (
                f"traced with an input of shape {(1, *shape)}, guessed from "
                f"{quoted(path) if path else 'the weight'}"
            )
    return None


def _guesses(module: nn.Module) -> tuple[str, list[tuple[int, ...]]]:
    """Return the path of the first weight layer, and shapes without a batch axis to try.

    Where a linear layer is registered before convolutions, either may run first: shapes of both.
    """
    linear: tuple[str, list[tuple[int, ...]]] | None = None
    for path, part in module.named_modules():
        if isinstance(part, nn.Linear) and linear is None:
            linear = path, [(part.in_features,)]
        n_axes = next((n for kind, n in _CONVOLUTIONS.items() if isinstance(part, kind)), 0)
        if n_axes:
            channels = int(part.in_channels)
            sizes = (LENGTHS, SIDES, EDGES)[n_axes - 1]
            shapes = [(channels, *[size] * n_axes) for size in sizes]
            return (path, shapes) if linear is None else (linear[0], [*linear[1], *shapes])
    if linear is not None:
        return linear
    if not any(parameter.ndim > 1 for parameter in module.parameters()):
        raise InputError("there is no weight layer: expected a dense layer or a convolution")
    raise InputError(_unknown_shape(module))


def _fits(module: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether the forward pass runs on fake tensors, which have shapes and no values.

    The inputs are a batch of one example.
    """
    with quiet(), torch.no_grad(), FakeTensorMode() as mode:
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        fake: dict[str, Tensor] = {name: mode.from_tensor(tensor) for name, tensor in held.items()}
        try:
            positional, named = as_arguments(inputs)
            outputs = functional_call(
                module,
                fake,
                tuple(mode.from_tensor(x) for x in positional),
                {name: mode.from_tensor(x) for name, x in named.items()},
            )
        except Exception as error:
            # Dependence on data fails for every shape alike: the export reports it.
            return isinstance(error, DataDependentOutputException)
    # A view(-1, n) of an image that is too large makes a batch of its pixels.
    tensors = [x for x in _pytree.tree_leaves(outputs) if isinstance(x, Tensor) and x.ndim]
    return all(len(x) == 1 for x in tensors)


def _unknown_shape(module: nn.Module) -> str:
    return (
        f"what {type(module).__name__} takes cannot be told from its layers; pass "
        "example_inputs=torch.zeros(1, 3, 224, 224) with its own shape, on the command line "
        "--input-shape 3,224,224"
    )
