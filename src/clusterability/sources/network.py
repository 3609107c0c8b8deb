"""The graph of any network that the package can read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.reading.loaded import InputShape, Shapes
from clusterability.shown import described
from clusterability.sources.kinds import (
    Arguments,
    Traced,
    canonical_scaling,
    check_applies,
    find_kind,
)
from clusterability.sources.names import example, exists, is_shipped
from clusterability.tracing.chains.chain import check_include
from clusterability.tracing.chains.statedict import checked_order
from clusterability.wiring.kernels import find_kernel_norm

AnyNetwork = Any
"""Type of networks and graphs from several libraries, none of which must be installed."""


def trace(
    network: AnyNetwork,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    entry: str | None = None,
    edge_weight: str | None = None,
    example_inputs: Any = None,
    input_shape: InputShape | None = None,
) -> Traced:
    """Return the graph of a network, with its name and notes.

    Args:
        network: a torch.nn.Module or a Keras model; a state dict (tensors or arrays by name); the
            path of an ONNX or Keras file, of weights or of a graph; a SciPy sparse matrix or a
            networkx graph; the name of a shipped network, such as ``example:fashion-mnist-mlp``; or
            a :class:`NeuronGraph`, which is returned as it is.
        kernel_norm: a name in ``KERNEL_NORMS``; the norm turns a convolution's kernel into a
            strength. Other networks and graphs do not need it.
        include: for a CNN, ``"input"`` and ``"dense"`` add the image's channels and the dense part;
            other networks and graphs are whole in any case.
        order: for a state dict or weights, the names of the chain's weights in order.
        entry: for these, the name of the entry that holds the network, where there are several.
        edge_weight: for a graph in a file or of networkx, the attribute of edges that is their
            weight, in place of ``weight``.
        example_inputs: for a module, the arguments of its forward pass: a tensor, a tuple, or a
            dictionary by their names.
        input_shape: for a module or a model's file, the shape of its one input without the batch
            axis, in place of ``example_inputs``; of several inputs a sequence with that of each.

    Raises:
        InputError: if the network cannot be read, or an argument has a wrong value or type, or
            does not apply to this kind of network.

    >>> from clusterability import toy
    >>> traced = trace(toy.planted_cnn(), input_shape=(1, 8, 8))
    >>> traced.name, traced.graph.n_neurons, traced.n_outputs
    ('Sequential', 14, 2)
    """
    find_kernel_norm(kernel_norm)
    check_include(include)
    arguments = Arguments(
        kernel_norm,
        include,
        checked_order(order),
        _checked_name("entry", entry, "model"),
        _checked_name("edge_weight", edge_weight, "value"),
        *_checked_inputs(example_inputs, input_shape),
    )
    if _is_example(network):
        path = example(network.removeprefix("example:"))
        return replace(_read(path, arguments), name=network)
    if isinstance(network, nn.Module):
        from clusterability.tracing.modules import unwrapped

        network = unwrapped(network)
    return _read(network, arguments)


def _checked_inputs(
    example_inputs: Any, input_shape: InputShape | None
) -> tuple[tuple[Any, ...] | None, Shapes | None]:
    if example_inputs is None and input_shape is None:
        return None, None
    from clusterability.tracing.examples import check_inputs

    return check_inputs(example_inputs, input_shape)


def _read(network: AnyNetwork, arguments: Arguments) -> Traced:
    kind = find_kind(network)
    check_applies(kind, arguments)
    traced = kind.read(network, arguments)
    if is_shipped(network):  # its hidden layers are ReLUs, which its file does not tell
        canonical = partial(canonical_scaling, traced.graph)
        return replace(traced, rescalable=True, canonical=canonical)
    return traced


def neuron_graph(
    network: AnyNetwork,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    entry: str | None = None,
    edge_weight: str | None = None,
    example_inputs: Any = None,
    input_shape: InputShape | None = None,
) -> NeuronGraph:
    """Return a network's graph, differentiable in its parameters; arguments as in :func:`trace`.

    Source: section 1.1 of Filan et al. (2021).

    Raises:
        InputError: if the network cannot be read.

    >>> import torch
    >>> from clusterability import normalized_cut, toy
    >>> graph = neuron_graph(toy.ResidualMLP())
    >>> round(normalized_cut(graph, torch.arange(graph.n_neurons) % 2).item(), 4)
    0.1818
    """
    traced = trace(
        network,
        kernel_norm=kernel_norm,
        include=include,
        order=order,
        entry=entry,
        edge_weight=edge_weight,
        example_inputs=example_inputs,
        input_shape=input_shape,
    )
    return traced.graph


def _checked_name(argument: str, name: object, example: str) -> str | None:
    if name is not None and not isinstance(name, str):
        raise InputError(
            f"{argument} is {described(name)}, expected the name of one, such as {example!r}"
        )
    return name


def _is_example(network: AnyNetwork) -> bool:
    is_name = isinstance(network, str) and network.startswith("example:")
    return is_name and not exists(Path(network))
