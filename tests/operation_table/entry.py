"""An entry of the table of operations, and what tensors it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from random_networks import Kind, channels, many, no_image
from random_steps import Draw, Step
from step_modules import Apply, Register

MOST_CHANNELS = 5
"""That an operation may multiply."""

Shapes = Callable[[Register], list[tuple[int, ...]]]


@dataclass(frozen=True)
class Operation:
    """How a step applies an operation to a tensor with a batch axis.

    Attributes:
        function: takes the tensor, then its parameters; each row of the batch by itself.
        linear: its stand-in for the perturbation; None for the function itself.
        fits: what it can read.
        shapes: of its parameters.
        adds_constants: whether channels that come out are constant.
        masks: whether it removes what its stand-in lets pass.
    """

    function: Callable[..., Tensor]
    linear: Callable[..., Tensor] | None = None
    fits: Callable[[Register], bool] = lambda _: True
    shapes: Shapes = lambda _: []
    adds_constants: bool = False
    masks: bool = False

    def kind(self, name: str) -> Kind:
        def step(_draw: Draw, register: Register) -> Step:
            result = replace(register, image="some") if self.adds_constants else register
            module = Apply(name, self.function, self.linear, *self.shapes(register))
            module.masks = self.masks
            return module, result

        return step, self.fits


@dataclass(frozen=True)
class OperationModule:
    """An operation that a module of its own applies.

    Attributes:
        make: the module for what it reads.
        fits: what it can read.
        weighs: whether it is a weight operation.
    """

    make: Callable[[Register], nn.Module]
    fits: Callable[[Register], bool]
    weighs: bool = True

    def kind(self, _name: str) -> Kind:
        def step(_draw: Draw, register: Register) -> Step:
            return self.make(register), Register(register.shape) if self.weighs else register

        return step, self.fits


def is_map(register: Register) -> bool:
    return register.is_map


def is_line(register: Register) -> bool:
    return len(register.shape) == 2


def is_features(register: Register) -> bool:
    """Each feature a neuron."""
    return not register.has_channels and register.per_neuron


def hidden_features(register: Register) -> bool:
    return is_features(register) and no_image(register)


def per_neuron(register: Register) -> bool:
    return register.per_neuron


def few(register: Register) -> bool:
    return register.per_neuron and register.shape[0] <= MOST_CHANNELS


def small_map(register: Register) -> bool:
    return is_map(register) and register.n_pixels <= 30


def wide_map(register: Register) -> bool:
    return is_map(register) and min(register.shape[1:]) >= 2


def wide_line(register: Register) -> bool:
    return is_line(register) and register.shape[1] >= 2


def four_channels(register: Register) -> bool:
    return is_map(register) and register.shape[0] == 4


__all__ = [
    "Operation",
    "OperationModule",
    "channels",
    "few",
    "four_channels",
    "hidden_features",
    "is_features",
    "is_line",
    "is_map",
    "many",
    "no_image",
    "per_neuron",
    "small_map",
    "wide_line",
    "wide_map",
]
