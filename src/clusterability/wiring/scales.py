"""Scales: factors that multiply a connection between its weight and the layer that it reaches.

Each kind has ``values``, which computes and checks nothing, and ``find_values``, which checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.wiring.index_maps import Index
from clusterability.wiring.parameters import all_finite, find_parameter


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
        """Return the scales, (..., n_channels).

        Args:
            parameters: by name, with the leading axes of ``like``.
            like: (..., n_source, n_outputs), strengths in whose precision the scales come.
        """
        scale = (parameters[self.running_var].to(like) + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * parameters[self.weight].to(like).abs()
        return scale

    def find_values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Return :meth:`values`, checked.

        Raises:
            InputError: if a parameter is missing or a scale is not finite.
        """
        for name in self.parameter_names:
            find_parameter(parameters, name)
        values = self.values(parameters, like)
        if not all_finite(values.detach()):
            raise InputError(
                f"batch norm {quoted(self.name)} has NaN or infinite scales: its running_var must "
                "not be negative, and its weight must be finite"
            )
        return values


@dataclass(frozen=True)
class Multiplier:
    """A constant that the network multiplies by, or divides by, element by element.

    Attributes:
        name: name of the parameter; its absolute values scale, flattened.
        divides: whether it divides.
        is_number: whether it has one element, so that all connections meet the same.
        shape: of the parameter, if some of its axes are averaged over.
        averaged: axes along which it differs between pixels of one neuron: their mean counts.
        parts: of some of these, the places that count, if not all.
        is_moved: whether these pixels have been moved to other axes since.
        inverted: whether 1 minus it multiplies, as a mask that removes what it marks does.
        increased: whether 1 plus it multiplies.
        is_mask: whether it is fixed, and 0 or 1 for each neuron.
        kept: if given, 1 multiplies where it lies between these two numbers, elsewhere 0.
    """

    name: str
    divides: bool = False
    is_number: bool = False
    shape: tuple[int, ...] = ()
    averaged: tuple[int, ...] = ()
    parts: tuple[tuple[int, tuple[int, ...]], ...] = ()
    is_moved: bool = False
    inverted: bool = False
    increased: bool = False
    is_mask: bool = False
    kept: tuple[float, float] | None = None

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return (self.name,)

    def values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Return the scales, (..., n_entries); see :meth:`BatchNorm.values`."""
        scale = self._of_each(parameters[self.name].to(like)).abs()
        leading = scale.shape[: like.ndim - 2]
        if self.divides:
            scale = scale.reciprocal()
        if self.averaged:
            axes = [len(leading) + axis for axis in self.averaged]
            scale = scale.reshape(*leading, *self.shape)
            for axis, places in self.parts:
                chosen = torch.tensor(places, device=scale.device)
                scale = scale.index_select(len(leading) + axis, chosen)
            scale = scale.mean(axes)
        return scale.reshape(*leading, -1)

    def _of_each(self, given: Tensor) -> Tensor:
        if self.kept is not None:
            low, high = self.kept
            above, below = given > low, given < high  # an infinite end keeps what is infinite
            return ((above | (low == -math.inf)) & (below | (high == math.inf))).to(given)
        if self.inverted:
            return 1 - given
        return 1 + given if self.increased else given

    def find_values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Return :meth:`values`, checked.

        Raises:
            InputError: if the parameter is missing or a scale is not finite.
        """
        find_parameter(parameters, self.name, integers=True)
        values = self.values(parameters, like)
        if not all_finite(values.detach()):
            kind = "divides" if self.divides else "multiplies"
            raise InputError(f"{quoted(self.name)}, which {kind}, gives NaN or infinite scales")
        return values


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

    @cached_property
    def _indices(self) -> list[list[Index]]:
        return [[Index(entries) for _, entries in scales] for _, scales in self.ways]

    def __getstate__(self) -> dict[str, Any]:
        return {"ways": self.ways}  # without tensors on a device

    def values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Return the scales, (..., n_neurons); see :meth:`BatchNorm.values`."""
        total = like.new_zeros(())
        for (factor, scales), indices in zip(self.ways, self._indices, strict=True):
            product = like.new_full((), factor)
            for (scale, _), index in zip(scales, indices, strict=True):
                values = scale.values(parameters, like)
                product = product * values.index_select(-1, index.on(values.device))
            total = total + product
        return total

    def find_values(self, parameters: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Return :meth:`values`, checked.

        Raises:
            InputError: if a parameter is missing, or a scale is not finite or has too few entries.
        """
        for _, scales in self.ways:
            for scale, entries in scales:
                n_entries = scale.find_values(parameters, like).shape[-1]
                if n_entries <= max(entries):
                    raise InputError(
                        f"{quoted(scale.name)} has {n_entries} channels, expected "
                        f"{max(entries) + 1} or more"
                    )
        return self.values(parameters, like)


Scale = BatchNorm | Multiplier | Total


class ScaleValues:
    """The values of scales at some parameters, each found once, as many routes have the same.

    Args:
        parameters: by name; they must not change while this is used.
        checked: whether values are checked, as ``find_values`` does.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, checked: bool = False) -> None:
        self._parameters, self._checked = parameters, checked
        self._found: dict[tuple[Scale, torch.dtype, torch.device], Tensor] = {}

    def of(self, scale: Scale, like: Tensor) -> Tensor:
        """Return a scale's values, (..., n_entries), as strengths like these are kept."""
        key = scale, like.dtype, like.device
        if key not in self._found:
            find = scale.find_values if self._checked else scale.values
            self._found[key] = find(self._parameters, like)
        return self._found[key]
