"""A weight operation's strengths: from each of its inputs to each of its outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.wiring.kernels import KernelNorm
from clusterability.wiring.parameters import find_parameter

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


def weight_strengths(
    weight: Weight, parameters: Mapping[str, Tensor], kernel_norm: KernelNorm
) -> Tensor:
    """(n_inputs, n_outputs): absolute weights, or the norm of each kernel slice; 0 across groups.

    Raises:
        InputError: if the parameter is missing, misshapen, NaN or infinite.
    """
    parameter = find_parameter(parameters, weight.name)
    if parameter.ndim < 2 or parameter.numel() == 0:
        raise InputError(
            f"{quoted(weight.name)} has shape {tuple(parameter.shape)}, expected 2 or more axes, "
            "none of them empty"
        )
    if parameter.ndim == 2:
        strengths = parameter.abs()
        strengths = strengths if weight.layout == "in-out" else strengths.mT
    else:
        strengths = _kernel_strengths(parameter, weight, kernel_norm)
    _check_finite(strengths, parameter, weight.name)
    return strengths


def support_of(weight: Weight, strengths: Tensor) -> Tensor | None:
    """Where the operation has connections, (n_inputs, n_outputs) bool; None for everywhere."""
    if weight.groups == 1:
        return None
    n_in, n_out = strengths.shape
    inputs = torch.arange(n_in, device=strengths.device) // (n_in // weight.groups)
    outputs = torch.arange(n_out, device=strengths.device) // (n_out // weight.groups)
    return inputs[:, None] == outputs


def _kernel_strengths(parameter: Tensor, weight: Weight, norm: KernelNorm) -> Tensor:
    if weight.layout == "in-out":
        parameter = parameter.movedim((-1, -2), (0, 1))
    try:
        norms = norm(parameter)
    except InputError as error:
        raise InputError(f"{quoted(weight.name)}: {error}") from None
    if weight.groups == 1:
        return norms if weight.transposed else norms.mT
    return _block_diagonal(norms, weight)


def _block_diagonal(norms: Tensor, weight: Weight) -> Tensor:
    """Each group's norms at its place in (n_inputs, n_outputs)."""
    groups = weight.groups
    if norms.shape[0] % groups:
        raise InputError(
            f"{quoted(weight.name)} has {norms.shape[0]} channels, which {groups} groups do not "
            "divide"
        )
    parts = norms.reshape(groups, -1, norms.shape[1])  # (groups, of a group, of the other side)
    parts = parts if weight.transposed else parts.mT  # (groups, inputs, outputs)
    n_in, n_out = parts.shape[1:]
    which = torch.arange(groups, device=norms.device)
    zeros = norms.new_zeros(groups, groups, n_in, n_out)
    placed = zeros.index_put((which, which), parts)
    return placed.permute(0, 2, 1, 3).reshape(groups * n_in, groups * n_out)


def _check_finite(strengths: Tensor, weight: Tensor, name: str) -> None:
    # One number decides, for strengths are not negative and NaN comes through a maximum.
    if not math.isfinite(float(strengths.detach().amax())):
        n_bad = int((~torch.isfinite(weight.detach())).sum())
        if n_bad == 0:
            raise InputError(
                f"{quoted(name)} is so large that its strengths overflow {weight.dtype}"
            )
        raise InputError(
            f"{quoted(name)} holds {n_bad} NaN or infinite weights of {weight.numel()}; "
            "expected finite ones"
        )
