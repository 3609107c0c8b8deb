"""From any network that can be read to its graph."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.shown import shown
from clusterability.tracing.chain import check_include
from clusterability.tracing.files import read_weights
from clusterability.tracing.kernels import find_kernel_norm
from clusterability.tracing.modules import module_parameters, module_wiring, unwrapped
from clusterability.tracing.naming import show_path
from clusterability.tracing.statedict import checked_order, state_dict_wiring

Network = nn.Module | Mapping[str, Any] | str | os.PathLike[str] | NeuronGraph


@dataclass(frozen=True, eq=False)
class Traced:
    """A network's graph, a name for it, and notes on how it was read."""

    name: str
    graph: NeuronGraph
    notes: tuple[str, ...]


def trace(
    network: Network,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
) -> Traced:
    """The graph of a network, with its name and notes.

    Args:
        network: a torch.nn.Sequential, a state dict (tensors or arrays by name), the path of a
            file that holds one, or a graph, which is returned as it is.
        kernel_norm: one of ``KERNEL_NORMS``: how a convolution's kernel becomes a strength.
        include: for a CNN, ``"input"`` and ``"dense"`` add the image's channels and the dense part.
        order: for a state dict or file, names of the weights that form the chain.

    Raises:
        InputError: if the network cannot be read as a chain of weights, or an argument is unknown
            or of another type.
    """
    find_kernel_norm(kernel_norm)
    check_include(include)
    order = checked_order(order)
    if isinstance(network, nn.Module):
        network = unwrapped(network)
    if order is not None and isinstance(network, nn.Module | NeuronGraph):
        raise InputError(
            f"order names weights of a state dict or file, but the network is a "
            f"{type(network).__name__}; leave it out"
        )
    if isinstance(network, NeuronGraph):
        return Traced("graph", network, ())
    if isinstance(network, nn.Module):
        wiring, notes = module_wiring(network, include)
        graph = wiring.graph(module_parameters(network, wiring), kernel_norm)
        return Traced(type(network).__name__, graph, notes)
    if isinstance(network, Mapping):
        wiring, parameters, notes = state_dict_wiring(network, include, order)
        return Traced("state dict", wiring.graph(parameters, kernel_norm), notes)
    if isinstance(network, str | os.PathLike):
        return _trace_file(Path(network), kernel_norm, include, order)
    raise InputError(
        f"a network of type {type(network).__name__} cannot be read; expected a "
        "torch.nn.Sequential, a state dict, a path or a NeuronGraph"
    )


def neuron_graph(
    network: Network,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
) -> NeuronGraph:
    """The graph of a network, differentiable in its parameters; arguments as for :func:`trace`.

    Source: section 1.1 of Filan et al. (2021).

    Raises:
        InputError: if the network cannot be read as a chain of weights.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(layer.name, layer.n_neurons) for layer in neuron_graph(model).layers]
    [('input', 4), ('0', 3), ('2', 2)]
    """
    return trace(network, kernel_norm=kernel_norm, include=include, order=order).graph


def _trace_file(
    path: Path, kernel_norm: str, include: Collection[str], order: Sequence[str] | None
) -> Traced:
    state = read_weights(path)
    try:
        wiring, parameters, notes = state_dict_wiring(state, include, order)
        del state  # it would hold every tensor to the end
        with torch.no_grad():
            graph = wiring.graph(_Drained(parameters), kernel_norm)
    except InputError as error:
        raise InputError(f"{show_path(path)}: {error}") from None
    return Traced(shown(path.name), graph, notes)


class _Drained(Mapping[str, Tensor]):
    """Hands out each tensor once and drops it, so that weights make room for strengths."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
