"""The graph of any network that the package can read."""

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
from clusterability.reading.keras import is_keras_model, keras_model, read_keras
from clusterability.reading.loaded import Loaded
from clusterability.reading.onnx import read_onnx
from clusterability.reading.weights.weight_files import read_weights
from clusterability.shown import show_path, shown
from clusterability.tracing.chains.chain import check_include
from clusterability.tracing.chains.statedict import checked_order, state_dict_wiring
from clusterability.tracing.examples import check_example_inputs, check_input_shape, inputs_of_shape
from clusterability.tracing.modules import trace_module, unwrapped
from clusterability.wiring.kernels import find_kernel_norm

NetworkLike = nn.Module | Mapping[str, Any] | str | os.PathLike[str] | NeuronGraph

MODEL_SUFFIXES = (".onnx", ".keras", ".h5", ".hdf5")
"""Suffixes of files that hold a whole model; other files hold weights only."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A network's graph, with a name and notes on how it was read.

    ``n_outputs`` is the network's number of outputs; None for weights and graphs, since only a
    forward pass shows it.

    >>> from clusterability import toy
    >>> trace(toy.path()).graph.n_neurons
    4
    """

    name: str
    graph: NeuronGraph
    notes: tuple[str, ...]
    n_outputs: int | None = None


def trace(
    network: NetworkLike,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    example_inputs: Any = None,
    input_shape: Sequence[int] | None = None,
) -> Traced:
    """Return the graph of a network, with its name and notes.

    Args:
        network: a torch.nn.Module or a Keras model; a state dict (tensors or arrays by name); the
            path of an ONNX or Keras file or of weights; or a graph, which is returned as it is.
        kernel_norm: a name in ``KERNEL_NORMS``; the norm turns a convolution's kernel into a
            strength.
        include: for a CNN, ``"input"`` and ``"dense"`` add the image's channels and the dense part.
        order: for a state dict or weights, the names of the chain's weights in order.
        example_inputs: for a module, the arguments of its forward pass: a tensor or a tuple.
        input_shape: for a module or a model's file, the shape of its one input without the batch
            axis, in place of ``example_inputs``.

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
    order = checked_order(order)
    shape = None if input_shape is None else check_input_shape(input_shape)
    given = None if example_inputs is None else check_example_inputs(example_inputs)
    if shape is not None and given is not None:
        raise InputError("example_inputs and input_shape both tell the input; give one of them")
    if isinstance(network, nn.Module):
        network = unwrapped(network)
    _check_arguments(network, order, given, shape)
    if isinstance(network, NeuronGraph):
        return Traced("graph", network, ())
    if is_keras_model(network):
        loaded = keras_model(network, shape)
        return _trace_loaded(type(network).__name__, loaded, given, kernel_norm, include)
    if isinstance(network, nn.Module):
        if shape is not None:
            given = inputs_of_shape(network, shape)
        traced = trace_module(network, given, include)
        graph = traced.wiring.graph(traced.parameters, kernel_norm)
        return Traced(type(network).__name__, graph, traced.notes, traced.n_outputs)
    if isinstance(network, Mapping):
        wiring, parameters, notes = state_dict_wiring(network, include, order)
        return Traced("state dict", wiring.graph(parameters, kernel_norm), notes)
    assert isinstance(network, str | os.PathLike)
    path = Path(network)
    if not _is_model_file(path):
        return _trace_weights(path, kernel_norm, include, order)
    try:
        read = read_onnx if path.suffix.lower() == ".onnx" else read_keras
        return _trace_loaded(shown(path.name), read(path, shape), None, kernel_norm, include)
    except InputError as error:
        raise InputError(_name_file(path, str(error))) from None


def neuron_graph(
    network: NetworkLike,
    *,
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    example_inputs: Any = None,
    input_shape: Sequence[int] | None = None,
) -> NeuronGraph:
    """Return a network's graph, differentiable in its parameters; arguments as in :func:`trace`.

    Source: section 1.1 of Filan et al. (2021).

    Raises:
        InputError: if the network cannot be read.

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
        example_inputs=example_inputs,
        input_shape=input_shape,
    )
    return traced.graph


def _check_arguments(
    network: Any, order: object, given: object, shape: tuple[int, ...] | None
) -> None:
    """Refuse arguments that do not apply to this kind of network."""
    kind = type(network).__name__
    known = (nn.Module, NeuronGraph, Mapping, str, os.PathLike)
    if not isinstance(network, known) and not is_keras_model(network):
        raise InputError(
            f"a network of type {kind} cannot be read; expected a torch.nn.Module, a Keras model, "
            "a state dict, a path or a NeuronGraph"
        )
    is_path = isinstance(network, str | os.PathLike)
    is_model = is_keras_model(network) or (is_path and _is_model_file(Path(network)))
    is_weights = not is_model and (is_path or isinstance(network, Mapping))
    if order is not None and not is_weights:
        raise InputError(
            "order names weights of a state dict or file, but the network is "
            f"{'a model file' if is_path else f'a {kind}'}; leave it out"
        )
    if given is not None and not (isinstance(network, nn.Module) or is_keras_model(network)):
        raise InputError(
            f"example_inputs are for a torch.nn.Module, but the network is a {kind}"
            f"{'; give input_shape' if is_model else '; leave them out'}"
        )
    if shape is not None and (is_weights or isinstance(network, NeuronGraph)):
        what = "weights alone, which are taken as a chain" if is_weights else "a graph"
        raise InputError(f"an input shape says nothing about {what}; leave it out")


def _is_model_file(path: Path) -> bool:
    return path.suffix.lower() in MODEL_SUFFIXES


def _trace_loaded(
    name: str,
    loaded: Loaded,
    given: tuple[Any, ...] | None,
    kernel_norm: str,
    include: Collection[str],
) -> Traced:
    traced = trace_module(loaded.module, given or loaded.example_inputs, include)
    with torch.no_grad():
        graph = traced.wiring.graph(traced.parameters, kernel_norm)
    return Traced(name, graph, (*loaded.notes, *traced.notes), traced.n_outputs)


def _trace_weights(
    path: Path, kernel_norm: str, include: Collection[str], order: Sequence[str] | None
) -> Traced:
    state = read_weights(path)
    try:
        wiring, parameters, notes = state_dict_wiring(state, include, order)
        del state  # it would hold every tensor to the end
        with torch.no_grad():
            wiring.check(parameters)
            graph = wiring.strengths(_Drained(parameters), find_kernel_norm(kernel_norm))
            wiring.check_strengths(graph)
    except InputError as error:
        raise InputError(_name_file(path, str(error))) from None
    return Traced(shown(path.name), graph, notes)


def _name_file(path: Path, message: str) -> str:
    """Put the file's name before an error message that does not have it."""
    name = show_path(path)
    return message if name in message else f"{name}: {message}"


class _Drained(Mapping[str, Tensor]):
    """A mapping that drops each tensor once it is read, to free memory for the strengths."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
