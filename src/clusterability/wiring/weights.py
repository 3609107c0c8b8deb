"""A weight operation's strengths: from each of its inputs to each of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.wiring.kernels import KernelNorm
from clusterability.wiring.parameters import all_finite, widen

Layout = Literal["out-in", "in-out"]


@dataclass(frozen=True)
class Weight:
    """A parameter, and how its axes lie.

    Attributes:
        name: of the parameter: a matrix, or kernels of 3 axes or more.
        layout: "out-in" as torch has it, (out, in, *kernel), flattening channels first;
            "in-out", (*kernel, in, out), flattening channels last.
        groups: groups of channels; inputs of one join outputs of the same only, and the axis of
            the inputs holds one group's.
        transposed: of a transposed convolution, (in, out, *kernel) with the outputs of one group.
    """

    name: str
    layout: Layout = "out-in"
    groups: int = 1
    transposed: bool = False

    def sizes(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return the number of inputs and of outputs of a parameter of this shape."""
        first, second = shape[:2] if self.layout == "out-in" else (shape[-1], shape[-2])
        if len(shape) == 2:
            return second, first
        if self.transposed:
            return first, second * self.groups
        return second * self.groups, first


def weight_strengths(
    weight: Weight, parameter: Tensor, kernel_norm: KernelNorm, n_leading: int = 0
) -> Tensor:
    """Return (..., n_inputs, n_outputs): absolute weights, or the norm of each kernel slice.

    Strengths across groups are 0. Half precision goes to float32.

    Args:
        weight: how the parameter lies.
        parameter: (..., out, in), (..., out, in, *kernel), or as the layout says.
        kernel_norm: of a convolution's kernels.
        n_leading: number of leading axes, along which several parameters are stacked.

    Raises:
        InputError: if the kernel norm does not fit.
    """
    strengths = strengths_within_groups(weight, parameter, kernel_norm, n_leading)
    return strengths if weight.groups == 1 else spread_groups(weight.groups, strengths)


def strengths_within_groups(
    weight: Weight, parameter: Tensor, kernel_norm: KernelNorm, n_leading: int = 0
) -> Tensor:
    """Return :func:`weight_strengths` without those across groups.

    They are (..., n_inputs of one group, n_outputs), of each output those from its own group.
    """
    parameter = widen(parameter)
    if parameter.ndim == n_leading + 2:
        strengths = parameter.abs()
        return strengths if weight.layout == "in-out" else strengths.mT
    if weight.layout == "in-out":
        parameter = parameter.movedim((-1, -2), (n_leading, n_leading + 1))
    # A norm is of each slice by itself, so that stacked kernels are kernels of more outputs.
    try:
        norms = kernel_norm(parameter.flatten(0, n_leading))
    except InputError as error:
        raise InputError(f"{quoted(weight.name)}: {error}") from None
    norms = torch.unflatten(norms, 0, parameter.shape[: n_leading + 1])
    if not weight.transposed:
        return norms.mT
    if weight.groups == 1:
        return norms
    parts = torch.unflatten(norms, -2, (weight.groups, -1))  # (..., group, inputs, outputs)
    return parts.movedim(-3, -2).flatten(-2)


def spread_groups(groups: int, strengths: Tensor) -> Tensor:
    """Return strengths within groups, each group's at its place in (..., n_inputs, n_outputs)."""
    parts = torch.unflatten(strengths, -1, (groups, -1)).mT  # (..., inputs, outputs, group)
    return torch.diag_embed(parts, dim1=-4, dim2=-2).flatten(-4, -3).flatten(-2, -1)


def support_of_groups(groups: int, n_inputs: int, n_outputs: int, device: torch.device) -> Tensor:
    """Return (n_inputs, n_outputs) bool, True where both are of one group."""
    within = torch.ones(n_inputs // groups, n_outputs, dtype=torch.bool, device=device)
    return spread_groups(groups, within)


def check_weight(weight: Weight, parameter: Tensor) -> None:
    """Refuse a parameter that is no such weight.

    Raises:
        InputError: if it has too few axes or an empty one, the groups do not divide it, or it is
            NaN or infinite anywhere.
    """
    name, shape = quoted(weight.name), tuple(parameter.shape)
    if parameter.ndim < 2 or parameter.numel() == 0:
        raise InputError(f"{name} has shape {shape}, expected 2 or more axes, none of them empty")
    n_channels = shape[0] if weight.layout == "out-in" else shape[-1]
    if parameter.ndim > 2 and n_channels % weight.groups:
        raise InputError(
            f"{name} has {n_channels} channels, which {weight.groups} groups do not divide"
        )
    values = parameter.detach()
    if not all_finite(values):
        n_bad = int((~torch.isfinite(values)).sum())
        raise InputError(
            f"{name} holds {n_bad} NaN or infinite weights of {values.numel()}; "
            "expected finite ones"
        )
