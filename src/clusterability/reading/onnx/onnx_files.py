"""Reader of ONNX files: reads them as data, checks them, and builds a module from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, check_weights_follow, explain_damage
from clusterability.files.memory import check_fits
from clusterability.reading.loaded import InputShape, Loaded
from clusterability.reading.onnx.fusion import fuse_patterns
from clusterability.reading.onnx.graph import Array, Graph, GraphNode, check_order
from clusterability.reading.onnx.inputs import example_inputs, graph_input
from clusterability.reading.onnx.module import OnnxModule
from clusterability.reading.onnx.tensors import is_external, read_tensor, tensor_bytes
from clusterability.shown import quoted, show_path

MIN_OPSET = 7
"""The first version of ONNX's operations that broadcasts as NumPy does."""

_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


def read_onnx(path: Path, input_shape: InputShape | None = None) -> Loaded:
    """Return the model of an ONNX file as a module that ``torch.export`` traces.

    Its parameters are the float initializers, under their own names where torch allows these.
    Arithmetic on shapes is done on plain numbers, and all floats are widened to one type: float64
    where an input has that type, else float32. The file and those with its external data are read
    as data, and sizes are checked before memory is taken.

    Args:
        path: the ``.onnx`` file.
        input_shape: sizes of the input without the batch axis, where the file leaves them open; of
            several inputs a sequence with those of each.

    Raises:
        InputError: if the file is damaged, too large for memory, or asks for data outside its
            folder; if the graph is no feed-forward network of known operations; or if
            ``input_shape`` is missing or disagrees with the file.
    """
    path = Path(path)
    check_weights_follow(path, check_readable(path))
    with explain_damage(path):
        model = _parsed(path)
        _check_model(model)
        _check_memory(path, model)
        graph = _graph(model, path.resolve().parent)
        check_order(graph)
        graph = fuse_patterns(graph.without_unused())
        wide = any(value.dtype == np.float64 for value in graph.inputs)
        module = OnnxModule(graph, torch.float64 if wide else torch.float32)
    inputs = example_inputs(graph, module.float_type, input_shape)
    return Loaded(module.eval(), inputs, tuple(_notes(graph)))


def _parsed(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError(
            f"reading {show_path(path)} needs the package onnx; run "
            "pip install 'clusterability[onnx]'"
        ) from None
    # the bytes and the parsed model are both in memory
    check_fits(show_path(path), 2 * path.stat().st_size)
    return onnx.load_model_from_string(path.read_bytes())


def _check_model(model: Any) -> None:
    """Refuse models that are empty, or more than one plain graph."""
    graph = model.graph
    if not graph.node:
        raise InputError("the ONNX graph has no nodes; export the model again")
    if model.training_info:
        raise InputError(
            "the ONNX file holds a training graph, expected a model for inference; export the "
            "model in evaluation mode"
        )
    if graph.sparse_initializer:
        name = quoted(graph.sparse_initializer[0].values.name)
        raise InputError(
            f"the ONNX initializer {name} is sparse, which is not supported; store it densely"
        )
    functions = {(function.domain, function.name) for function in model.functions}
    for node in graph.node:
        _check_node(node, functions)


def _check_node(node: Any, functions: set[tuple[str, str]]) -> None:
    shown = _plain_node(node, {}, {}).shown
    if (node.domain, node.op_type) in functions:
        raise InputError(
            f"{shown} calls a function that the ONNX file defines, which is not supported; inline "
            "it with onnx.inliner.inline_local_functions"
        )
    if node.op_type in _CONTROL_FLOW:
        raise InputError(
            f"{shown} is control flow, which has no fixed wiring; export the model without it, "
            "for one path of the computation"
        )


def _check_memory(path: Path, model: Any) -> None:
    """Refuse files whose tensors, with the external ones, take more memory than there is."""
    n_bytes = sum(tensor_bytes(tensor) for tensor in _tensors(model) if is_external(tensor))
    check_fits(f"{show_path(path)}, with its external data,", path.stat().st_size + n_bytes)


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _graph(model: Any, folder: Path) -> Graph:
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    version = versions.get("ai.onnx", 0)
    if version < MIN_OPSET:
        raise InputError(
            f"the ONNX file uses version {version} of the operations, expected at least "
            f"{MIN_OPSET}; convert it with onnx.version_converter"
        )
    constants: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        if tensor.name in constants:
            raise InputError(
                f"the ONNX file has two initializers {quoted(tensor.name)}; export it again"
            )
        constants[tensor.name] = _owned(tensor, folder)
    nodes = []
    for proto in model.graph.node:
        node = _plain_node(proto, _attributes(proto, folder), versions)
        if node.op_type == "Constant" and node.first_output not in constants:
            constants[node.first_output] = _constant(node)
        else:
            nodes.append(node)
    inputs = [graph_input(value) for value in model.graph.input if value.name not in constants]
    outputs = tuple(value.name for value in model.graph.output)
    return Graph(tuple(nodes), constants, tuple(inputs), outputs)


def _owned(tensor: Any, folder: Path) -> Array:
    """Return the numbers of a tensor, and free their copy in the parsed file."""
    array = read_tensor(tensor, folder)
    if not is_external(tensor):
        array = np.array(array)
        for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
            tensor.ClearField(name)
    return array


def _plain_node(proto: Any, attributes: dict[str, Any], versions: dict[str, int]) -> GraphNode:
    domain = "" if proto.domain in ("", "ai.onnx") else proto.domain
    return GraphNode(
        name=proto.name,
        op_type=f"{domain}.{proto.op_type}" if domain else proto.op_type,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
        opset=versions.get(domain or "ai.onnx", 0),
    )


def _attributes(proto: Any, folder: Path) -> dict[str, Any]:
    """Return the attributes as numbers, text, arrays, or lists of numbers."""
    from onnx import AttributeProto, helper

    values: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.type == AttributeProto.TENSOR:
            values[attribute.name] = _owned(attribute.t, folder)
            continue
        value = helper.get_attribute_value(attribute)
        values[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return values


def _constant(node: GraphNode) -> Array:
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, np.ndarray):
            return value
        if name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    kinds = quoted(", ".join(node.attributes))
    raise InputError(f"{node.shown} holds {kinds}, expected numbers; export the model again")


def _notes(graph: Graph) -> Iterator[str]:
    if any(node.op_type == "QuantizeLinear" for node in graph.nodes):
        yield "quantization of activations left out: they pass as they are"
