"""The kinds of networks: how each is recognized and read, and which arguments it takes.

Readers are loaded by the kinds that need them.

:data:`KINDS` is the one list. A kind of network that is added to it is known to ``trace``,
``measure`` and the command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.graph.canonical import canonical, ties
from clusterability.reading.graphs import (
    is_foreign_graph,
    is_graph_file,
    read_foreign_graph,
    read_graph,
)
from clusterability.reading.keras import is_keras_model
from clusterability.reading.loaded import Loaded, Shapes
from clusterability.reading.weights.weight_files import read_weights
from clusterability.shown import show_path, shown
from clusterability.tracing.chains.statedict import state_dict_wiring
from clusterability.wiring.kernels import find_kernel_norm

if TYPE_CHECKING:
    from clusterability.tracing.modules import TracedModule

MOST_RESCALED = 10_000_000
"""Graphs of more strengths than this are not brought to canonical scaling unless that is asked for,
since it takes as long as several graphs and much memory."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A network's graph, with a name and notes on how it was read.

    ``n_outputs`` is the network's number of outputs; None for weights and graphs, since only a
    forward pass shows it. ``left_out`` names the parts of a CNN that the graph has not.
    ``rescalable`` says whether hidden neurons can be scaled such that the function stays; None for
    weights and graphs, which do not tell. ``canonical`` returns the graph in canonical scaling,
    that of the network with nothing left out; None if it is large or not rescalable.
    ``reached_by_left_out`` are numbers of the layers that the parts reach which are left out.
    ``shared_scale`` returns which neurons have one factor, as the graph's attribute of that name
    has it; None where nothing but copies of blocks tells.

    >>> from clusterability import toy
    >>> from clusterability.sources import trace
    >>> trace(toy.path()).graph.n_neurons
    4
    """

    name: str
    graph: NeuronGraph
    notes: tuple[str, ...] = ()
    n_outputs: int | None = None
    left_out: tuple[str, ...] = ()
    rescalable: bool | None = None
    canonical: Callable[[], NeuronGraph] | None = None
    reached_by_left_out: tuple[int, ...] = ()
    shared_scale: Callable[[], Tensor] | None = None

    def to_scale(self) -> Traced:
        """Return the same with a graph that knows which of its neurons have one factor."""
        if self.shared_scale is None:
            return self
        try:
            return replace(self, graph=replace(self.graph, shared_scale=self.shared_scale()))
        except InputError:
            return replace(self, rescalable=False, canonical=None)


@dataclass(frozen=True)
class Arguments:
    """Arguments of :func:`clusterability.sources.trace`, checked."""

    kernel_norm: str
    include: Collection[str]
    order: Sequence[str] | None
    entry: str | None
    edge_weight: str | None
    example_inputs: tuple[Any, ...] | None
    input_shapes: Shapes | None


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        name: names one such network in error messages.
        fits: whether an object is of this kind; asked only if it is of no earlier kind.
        read: returns the graph of such a network.
        takes: which of ``order``, ``entry``, ``edge_weight``, ``example_inputs`` and
            ``input_shape`` apply to it.
    """

    name: str
    fits: Callable[[Any], bool]
    read: Callable[[Any, Arguments], Traced]
    takes: tuple[str, ...] = ()


def find_kind(network: Any) -> Kind:
    """Return the kind of a network.

    Raises:
        InputError: if it is of none.
    """
    for kind in KINDS:
        if kind.fits(network):
            return kind
    if isinstance(network, np.ndarray | Tensor):
        raise InputError(
            f"the network is an array of shape {tuple(network.shape)}, which may be a graph or a "
            "layer: pass scipy.sparse.csr_array(array) for the adjacency matrix of a graph, and "
            '{"fc": array} for the weights of a layer, (n_outputs, n_inputs)'
        )
    raise InputError(
        f"a network of type {type(network).__name__} cannot be read; expected a torch.nn.Module, a "
        "Keras model, a state dict, a path, a NeuronGraph, a SciPy sparse matrix or a networkx "
        "graph"
    )


_NAMING = {
    "order": "weights of a state dict or file",
    "entry": "a network in a state dict or a file of weights",
    "edge_weight": "an attribute of a graph's edges",
}


def check_applies(kind: Kind, arguments: Arguments) -> None:
    """Refuse arguments that do not apply to this kind of network.

    Raises:
        InputError: if one does not.
    """
    for name, meaning in _NAMING.items():
        if getattr(arguments, name) is not None and name not in kind.takes:
            raise InputError(
                f"{name} names {meaning}, but the network is {kind.name}; leave it out"
            )
    if arguments.example_inputs is not None and "example_inputs" not in kind.takes:
        remedy = "give input_shape" if "input_shape" in kind.takes else "leave them out"
        raise InputError(
            f"example_inputs are for a torch.nn.Module, but the network is {kind.name}; {remedy}"
        )
    if arguments.input_shapes is not None and "input_shape" not in kind.takes:
        weights = "weights alone, which are read as a chain of layers"
        what = weights if "order" in kind.takes else kind.name
        raise InputError(f"an input shape says nothing about {what}; leave it out")


def _is_path(network: Any) -> bool:
    return isinstance(network, str | os.PathLike)


def _has_suffix(*suffixes: str) -> Callable[[Any], bool]:
    return lambda network: _is_path(network) and Path(network).suffix.lower() in suffixes


def _read_graph(network: NeuronGraph, _: Arguments) -> Traced:
    return Traced("graph", network)


def _read_foreign_graph(network: Any, arguments: Arguments) -> Traced:
    return Traced("graph", read_foreign_graph(network, arguments.edge_weight))


def _read_graph_file(network: str | os.PathLike[str], arguments: Arguments) -> Traced:
    return Traced(shown(Path(network).name), read_graph(network, arguments.edge_weight))


def _read_module(network: nn.Module, arguments: Arguments) -> Traced:
    from clusterability.tracing.examples import inputs_of_shapes
    from clusterability.tracing.modules import trace_module

    inputs = arguments.example_inputs
    if arguments.input_shapes is not None:
        inputs = inputs_of_shapes(network, arguments.input_shapes)
    traced = trace_module(network, inputs, arguments.include)
    return _traced(type(network).__name__, traced, arguments)


def _read_keras_model(network: Any, arguments: Arguments) -> Traced:
    from clusterability.reading.keras import keras_model

    shapes, inputs = arguments.input_shapes, arguments.example_inputs
    if inputs is not None and all(isinstance(x, Tensor) for x in inputs):
        shapes = tuple(tuple(x.shape[1:]) for x in inputs)
    loaded = keras_model(network, shapes)
    return _trace_loaded(type(network).__name__, loaded, arguments)


def _read_state_dict(network: Mapping[str, Any], arguments: Arguments) -> Traced:
    wiring, parameters, notes = state_dict_wiring(
        network, arguments.include, arguments.order, arguments.entry
    )
    graph = wiring.graph(parameters, arguments.kernel_norm)
    return Traced("state dict", graph, notes, left_out=wiring.left_out)


def _read_onnx(path: Path, shapes: Shapes | None) -> Loaded:
    from clusterability.reading.onnx import read_onnx

    return read_onnx(path, shapes)


def _read_keras(path: Path, shapes: Shapes | None) -> Loaded:
    from clusterability.reading.keras import read_keras

    return read_keras(path, shapes)


def _model_file(
    read: Callable[[Path, Shapes | None], Loaded],
) -> Callable[[str | os.PathLike[str], Arguments], Traced]:
    def read_file(network: str | os.PathLike[str], arguments: Arguments) -> Traced:
        path = Path(network)
        try:
            loaded = read(path, arguments.input_shapes)
            return _trace_loaded(shown(path.name), loaded, arguments)
        except InputError as error:
            raise InputError(_name_file(path, str(error))) from None

    return read_file


def _trace_loaded(name: str, loaded: Loaded, arguments: Arguments) -> Traced:
    from clusterability.tracing.modules import trace_module

    inputs = arguments.example_inputs or loaded.example_inputs
    traced = trace_module(loaded.module, inputs, arguments.include)
    with torch.no_grad():
        return _traced(name, replace(traced, notes=(*loaded.notes, *traced.notes)), arguments)


def _traced(name: str, traced: TracedModule, arguments: Arguments) -> Traced:
    graph = traced.wiring.graph(traced.parameters, arguments.kernel_norm)
    rescalable = traced.rescalable is not None
    return Traced(
        name,
        graph,
        traced.notes,
        traced.n_outputs,
        traced.wiring.left_out,
        rescalable,
        partial(_canonical, traced, graph, arguments.kernel_norm)
        if rescalable and graph.n_strengths <= MOST_RESCALED
        else None,
        traced.wiring.reached_by_left_out,
        traced.shared_scale if traced.rescalable is traced.wiring else None,
    )


@torch.no_grad()
def _canonical(traced: TracedModule, graph: NeuronGraph, kernel_norm: str) -> NeuronGraph:
    """Return the graph with the strengths of the whole network in canonical scaling."""
    assert traced.rescalable is not None
    shared = traced.shared_scale()
    if traced.rescalable is traced.wiring:
        return canonical_scaling(replace(graph, shared_scale=shared))
    whole = traced.rescalable.graph(traced.parameters, kernel_norm)
    blocks = canonical_scaling(replace(whole, shared_scale=shared)).blocks
    places = traced.wiring.places_in(traced.rescalable)
    return graph.with_flat_strengths(torch.cat([blocks[i].strengths.flatten() for i in places]))


@torch.no_grad()
def canonical_scaling(graph: NeuronGraph) -> NeuronGraph:
    """Return a whole network's graph in canonical scaling, on the CPU and lying flat."""
    flat = graph.to("cpu")
    flat = flat.with_flat_strengths(flat.flat_strengths().detach())
    return canonical(flat, ties(flat))


def _read_weights_file(network: str | os.PathLike[str], arguments: Arguments) -> Traced:
    path = Path(network)
    state = read_weights(path)
    try:
        wiring, parameters, notes = state_dict_wiring(
            state, arguments.include, arguments.order, arguments.entry
        )
        del state  # it would hold every tensor to the end
        with torch.no_grad():
            wiring.check(parameters)
            norm = find_kernel_norm(arguments.kernel_norm)
            graph = wiring.strengths(_Drained(parameters), norm)
            wiring.check_strengths(graph)
    except InputError as error:
        raise InputError(_name_file(path, str(error))) from None
    return Traced(shown(path.name), graph, notes, left_out=wiring.left_out)


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


def _is_instance(kind: type) -> Callable[[Any], bool]:
    return lambda network: isinstance(network, kind)


MODEL = ("example_inputs", "input_shape")
WEIGHTS = ("order", "entry")
GRAPH = ("edge_weight",)

KINDS = (
    Kind("a graph", _is_instance(NeuronGraph), _read_graph),
    Kind("a graph", is_foreign_graph, _read_foreign_graph, GRAPH),
    Kind("a graph file", lambda x: _is_path(x) and is_graph_file(x), _read_graph_file, GRAPH),
    Kind("a model file", _has_suffix(".onnx"), _model_file(_read_onnx), ("input_shape",)),
    Kind(
        *("a model file", _has_suffix(".keras", ".h5", ".hdf5"), _model_file(_read_keras)),
        ("input_shape",),
    ),
    Kind("a file of weights", _is_path, _read_weights_file, WEIGHTS),
    # With the torch backend, Keras models are modules too.
    Kind("a Keras model", is_keras_model, _read_keras_model, MODEL),
    Kind("a torch.nn.Module", _is_instance(nn.Module), _read_module, MODEL),
    Kind("a state dict", _is_instance(Mapping), _read_state_dict, WEIGHTS),
)
"""All kinds, in the order in which a network is held against them."""
