"""What multiplies a connection between its weight and the layer that it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.wiring.parameters import find_parameter


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm that scales by |gamma| / sqrt(running_var + eps).

    Attributes:
        name: for messages.
        running_var: name of the parameter, (n_channels,).
        eps: what is added to the variance.
        weight: name of gamma, (n_channels,); None if it has none.
    """

    name: str
    running_var: str
    eps: float
    weight: str | None = None

    @property
    def is_number(self) -> bool:
        return False

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return (self.weight, self.running_var) if self.weight else (self.running_var,)

    def values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The scales, (n_channels,), in the precision of ``like``.

        Raises:
            InputError: if a parameter is missing or a scale is not finite.
        """
        scale = (find_parameter(parameters, self.running_var).to(like) + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * find_parameter(parameters, self.weight).to(like).abs()
        if not bool(torch.isfinite(scale.detach()).all()):
            raise InputError(
                f"batch norm {quoted(self.name)} has NaN or infinite scales: its running_var must "
                "not be negative, and its weight must be finite"
            )
        return scale


@dataclass(frozen=True)
class Multiplier:
    """A constant that the network multiplies by, or divides by, element by element.

    Attributes:
        name: name of the parameter; its absolute values scale, flattened.
        divides: whether it divides.
        is_number: whether it has one element, so that all connections meet the same.
        shape: of the parameter, if some of its axes are averaged over.
        averaged: axes along which it differs between pixels of one neuron: their mean counts.
    """

    name: str
    divides: bool = False
    is_number: bool = False
    shape: tuple[int, ...] = ()
    averaged: tuple[int, ...] = ()

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return (self.name,)

    def values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The scales, (n_entries,), in the precision of ``like``.

        Raises:
            InputError: if the parameter is missing or a scale is not finite.
        """
        scale = find_parameter(parameters, self.name, integers=True).to(like).abs()
        if self.divides:
            scale = scale.reciprocal()
        if self.averaged:
            scale = scale.reshape(self.shape).mean(self.averaged)
        scale = scale.flatten()
        if not bool(torch.isfinite(scale.detach()).all()):
            kind = "divides" if self.divides else "multiplies"
            raise InputError(f"{quoted(self.name)}, which {kind}, gives NaN or infinite scales")
        return scale


@dataclass(frozen=True)
class Total:
    """Several ways to the same neurons, each with its scales, whose products add up.

    Attributes:
        ways: for each a plain factor, and its scales, each with its entry for every neuron.
    """

    ways: tuple[tuple[float, tuple[tuple[Scale, tuple[int, ...]], ...]], ...]

    @property
    def name(self) -> str:
        return next(scale.name for _, scales in self.ways for scale, _ in scales)

    @property
    def is_number(self) -> bool:
        return all(scale.is_number for _, scales in self.ways for scale, _ in scales)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(n for _, scales in self.ways for s, _ in scales for n in s.parameter_names)

    def values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The scales, (n_neurons,), in the precision of ``like``.

        Raises:
            InputError: if a parameter is missing or a scale is not finite.
        """
        total = like.new_zeros(())
        for factor, scales in self.ways:
            product = like.new_full((), factor)
            for scale, entries in scales:
                values = scale.values(parameters, like)
                product = product * values[torch.tensor(entries, device=values.device)]
            total = total + product
        return total


Scale = BatchNorm | Multiplier | Total
