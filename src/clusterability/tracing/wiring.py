"""Which parameter joins which layer to which: found once per architecture, without weights.

Every front end (modules, state dicts) yields a :class:`Wiring`; with weights it becomes a graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.tracing.kernels import KernelNorm, find_kernel_norm
from clusterability.tracing.naming import quoted

Layout = Literal["out-in", "in-out"]

_WIDENED = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm that scales what comes into a layer by |gamma| / sqrt(running_var + eps).

    Attributes:
        name: for messages.
        running_var: name of the parameter, (n_target,).
        eps: what is added to the variance.
        weight: name of gamma, (n_target,); None if it has none.
    """

    name: str
    running_var: str
    eps: float
    weight: str | None = None


@dataclass(frozen=True)
class Connection:
    """One weight, and the two layers that it joins.

    Attributes:
        source: index of the layer that it reads.
        target: index of the layer that it produces.
        weight: name of the parameter: a matrix, or kernels of 3 axes or more.
        layout: "out-in" as torch has it, (out, in, *kernel), flattening channels first;
            "in-out", (*kernel, in, out), flattening channels last.
        n_pixels: inputs of a dense weight per neuron of the source: a channel's flattened pixels.
        norms: batch norms between the weight and its target layer.
    """

    source: int
    target: int
    weight: str
    layout: Layout = "out-in"
    n_pixels: int = 1
    norms: tuple[BatchNorm, ...] = ()


@dataclass(frozen=True)
class Wiring:
    """Layers of a network and the parameters that join them; holds no weights.

    >>> wiring = Wiring((Layer("input", 2), Layer("0", 1)), (Connection(0, 1, "0.weight"),))
    >>> wiring.graph({"0.weight": torch.tensor([[1.0, -2.0]])}).blocks[0].strengths
    tensor([[1.],
            [2.]])
    """

    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters that :meth:`graph` reads, each once for every connection."""
        names: list[str] = []
        for connection in self.connections:
            names.append(connection.weight)
            for norm in connection.norms:
                names += [norm.weight, norm.running_var] if norm.weight else [norm.running_var]
        return tuple(names)

    def graph(self, parameters: Mapping[str, Tensor], kernel_norm: str = "l1") -> NeuronGraph:
        """The graph of these parameters, differentiable in them, on their device.

        A block is (n_source, n_target): absolute weights of a dense layer, summed over a channel's
        flattened pixels; the norm of each kernel slice of a convolution; times the batch norms'
        scale. Half precision goes to float32.

        Source: section 1.1 of Filan et al. (2021).

        Raises:
            InputError: if a parameter is missing, misshapen, not floating point, NaN, infinite,
                or zero throughout; or if the kernel norm is unknown or does not fit.
        """
        norm = find_kernel_norm(kernel_norm)
        # One parameter at a time is looked up and let go, so a mapping that drops what it has
        # handed out never holds weights and strengths together.
        strengths = [self._strengths(c, parameters, norm) for c in self.connections]
        dtype = reduce(torch.promote_types, (block.dtype for block in strengths))
        blocks = (
            Block(c.source, c.target, block.to(dtype))
            for c, block in zip(self.connections, strengths, strict=True)
        )
        return NeuronGraph(self.layers, tuple(blocks))

    def _strengths(
        self, connection: Connection, parameters: Mapping[str, Tensor], kernel_norm: KernelNorm
    ) -> Tensor:
        weight = _find(parameters, connection.weight)
        n_source = self.layers[connection.source].n_neurons
        _check_inputs(connection, weight, n_source)
        if weight.ndim == 2:
            strengths = _dense_strengths(weight, connection, n_source)
        else:
            strengths = _kernel_strengths(weight, connection, kernel_norm)
        _check_strengths(strengths, weight, connection.weight)
        for norm in connection.norms:
            strengths = strengths * _scale(norm, parameters, strengths)
            if not float(strengths.detach().amax()) > 0:
                raise InputError(
                    f"batch norm {quoted(norm.name)} sets every strength of "
                    f"{quoted(connection.weight)} to zero: its scale is zero where weights are not"
                )
        return strengths


def _find(parameters: Mapping[str, Tensor], name: str) -> Tensor:
    """The parameter, in float32 or float64."""
    try:
        parameter = parameters[name]
    except KeyError:
        raise InputError(f"there is no parameter {quoted(name)} among those given") from None
    if parameter.dtype not in _WIDENED:
        raise InputError(
            f"{quoted(name)} holds {parameter.dtype}, expected float16, bfloat16, float32 or "
            "float64; convert it back to floating point first"
        )
    if parameter.is_meta or parameter.layout != torch.strided:
        kind = "lies on the meta device" if parameter.is_meta else f"has layout {parameter.layout}"
        raise InputError(f"{quoted(name)} {kind}; give a dense tensor that holds values")
    return parameter.to(_WIDENED[parameter.dtype])


def _check_inputs(connection: Connection, weight: Tensor, n_source: int) -> None:
    name, shape = quoted(connection.weight), tuple(weight.shape)
    if weight.ndim < 2 or weight.numel() == 0:
        raise InputError(f"{name} has shape {shape}, expected 2 or more axes, none of them empty")
    n_inputs = shape[1] if connection.layout == "out-in" else shape[-2]
    expected = n_source * (connection.n_pixels if weight.ndim == 2 else 1)
    if n_inputs != expected:
        raise InputError(f"{name} of shape {shape} has {n_inputs} inputs, expected {expected}")


def _dense_strengths(weight: Tensor, connection: Connection, n_source: int) -> Tensor:
    strengths = weight.abs()
    if connection.layout == "in-out":
        if connection.n_pixels > 1:
            strengths = strengths.reshape(connection.n_pixels, n_source, -1).sum(0)
        return strengths
    if connection.n_pixels > 1:
        strengths = strengths.reshape(-1, n_source, connection.n_pixels).sum(2)
    return strengths.mT


def _kernel_strengths(weight: Tensor, connection: Connection, norm: KernelNorm) -> Tensor:
    if connection.layout == "in-out":
        weight = weight.movedim((-1, -2), (0, 1))
    try:
        return norm(weight).mT
    except InputError as error:
        raise InputError(f"{quoted(connection.weight)}: {error}") from None


def _check_strengths(strengths: Tensor, weight: Tensor, name: str) -> None:
    # One number decides, for strengths are not negative and NaN comes through a maximum.
    largest = float(strengths.detach().amax())
    if largest == 0:
        raise InputError(
            f"{quoted(name)} is zero throughout, so that it joins no neurons; train or initialize "
            "it, prune less of it, or leave its layer out"
        )
    if not math.isfinite(largest):
        n_bad = int((~torch.isfinite(weight.detach())).sum())
        if n_bad == 0:
            raise InputError(
                f"{quoted(name)} is so large that its strengths overflow {weight.dtype}"
            )
        raise InputError(
            f"{quoted(name)} holds {n_bad} NaN or infinite weights of {weight.numel()}; "
            "expected finite ones"
        )


def _scale(norm: BatchNorm, parameters: Mapping[str, Tensor], strengths: Tensor) -> Tensor:
    scale = (_find(parameters, norm.running_var).to(strengths) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * _find(parameters, norm.weight).to(strengths).abs()
    if scale.shape != strengths.shape[1:]:
        raise InputError(
            f"batch norm {quoted(norm.name)} has {scale.numel()} channels, but scales a layer of "
            f"{strengths.shape[1]} neurons"
        )
    if not bool(torch.isfinite(scale.detach()).all()):
        raise InputError(
            f"batch norm {quoted(norm.name)} has NaN or infinite scales: its running_var must not "
            "be negative, and its weight must be finite"
        )
    return scale
