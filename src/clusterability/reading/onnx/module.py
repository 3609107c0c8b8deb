"""A module that runs an ONNX graph node by node with functions of torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.reading.onnx.graph import Array, Graph, GraphNode
from clusterability.reading.onnx.numbers import compute, is_plain
from clusterability.reading.onnx.operations import ONNX_OPERATIONS
from clusterability.reading.onnx.parameters import as_tensor, free_name, register
from clusterability.reading.onnx.registry import NodeCall, NodeValue, OnnxOperation, find_operation
from clusterability.shown import quoted, shown


class OnnxNode(nn.Module):
    """One node as a module, so that errors in tracing can name it.

    Attributes:
        call: the node, and the facts known about its inputs.
        function: computes its outputs from its inputs.
    """

    def __init__(self, call: NodeCall, operation: OnnxOperation) -> None:
        super().__init__()
        self.call = call
        self.function = operation.function

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """Return the node's outputs, in order.

        Raises:
            InputError: if torch cannot compute them from these inputs; it names the node.
        """
        with _explain_failure(self.call.node):
            result = self.function(self.call, *inputs)
        return result if isinstance(result, tuple) else (result,)

    def extra_repr(self) -> str:
        """Return the node's name and operation."""
        return self.call.node.shown


class OnnxModule(nn.Module):
    """The network of an ONNX graph; takes and returns tensors in the graph's order.

    Constants with axes are parameters (buffers if they hold whole numbers or running statistics).
    Values that depend on shapes and whole numbers alone are computed with NumPy.

    Args:
        graph: a graph with its nodes in order and none unused.
        float_type: the one type of all floats.

    Raises:
        InputError: if the graph has an operation that is not registered, or no weights.
    """

    def __init__(self, graph: Graph, float_type: torch.dtype) -> None:
        super().__init__()
        self.graph = graph
        self.float_type = float_type
        self._numbers = known_numbers(graph)
        self._operations = {
            node.first_output: find_operation(node)
            for node in graph.nodes
            if not self._is_plain(node)
        }
        self._tensor_names: dict[str, str] = {}
        self._register_constants()
        self._register_nodes()

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run every node; inputs and outputs have the shapes that the graph declares."""
        values: dict[str, NodeValue] = {
            value.name: x for value, x in zip(self.graph.inputs, inputs, strict=True)
        }
        for node in self.graph.nodes:
            module = self._node_modules.get(node.first_output)
            if module is None:
                with _explain_failure(node):
                    results = compute(node, [self._number(values, name) for name in node.inputs])
            else:
                results = module(*self._arguments(node, values))
            values.update(zip(node.outputs, results, strict=False))
        outputs = tuple(self._tensor(values, name) for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _is_plain(self, node: GraphNode) -> bool:
        return is_plain(node) and all(name in self._numbers for name in filter(None, node.inputs))

    def _register_constants(self) -> None:
        statistics = _running_statistics(self.graph)
        for name in self._constants_as_tensors():
            tensor = as_tensor(self.graph.constants[name], self.float_type)
            self._tensor_names[name] = register(self, name, tensor, buffer=name in statistics)
        quantized = any(node.op_type == "DequantizeLinear" for node in self.graph.nodes)
        if not quantized and next(self.parameters(), None) is None:
            raise InputError(
                "the ONNX graph has no float weights among its constants, so that nothing joins "
                "its neurons; export the model with its parameters"
            )

    def _constants_as_tensors(self) -> Iterable[str]:
        """Return the constants that nodes read as tensors, in the order of first use."""
        names: dict[str, None] = {}
        for node in self.graph.nodes:
            found = self._operations.get(node.first_output)
            if found is not None:
                names.update(
                    (name, None)
                    for position, name in enumerate(node.inputs)
                    if not self._comes_as_number(found, position, name)
                )
        names.update((name, None) for name in self.graph.outputs)
        return [name for name in names if name in self.graph.constants]

    def _comes_as_number(self, found: OnnxOperation, position: int, name: str) -> bool:
        if name not in self._numbers:
            return False
        constant = self.graph.constants.get(name)
        is_scalar = found.scalars and constant is not None and constant.ndim == 0
        return position in found.numbers or is_scalar

    def _register_nodes(self) -> None:
        varying = {value.name for value in self.graph.inputs}
        holder = nn.Module()
        self._node_modules: dict[str, OnnxNode] = {}
        for node in self.graph.nodes:
            if node.first_output not in self._operations:
                continue
            constant = tuple(name not in varying for name in node.inputs)
            call = NodeCall(node, constant, self.float_type)
            if not all(call.constant) and node.op_type not in ("Shape", "Size"):
                varying.update(node.outputs)
            module = OnnxNode(call, self._operations[node.first_output])
            holder.add_module(free_name(holder, _module_name(node)), module)
            self._node_modules[node.first_output] = module
        self.add_module(free_name(self, "nodes"), holder)

    def _arguments(self, node: GraphNode, values: dict[str, NodeValue]) -> list[Any]:
        found = self._operations[node.first_output]
        arguments: list[Any] = []
        for position, name in enumerate(node.inputs):
            number = self._number(values, name) if name in self._numbers else None
            if not name:
                arguments.append(None)
            elif number is not None and position in found.numbers:
                arguments.append(number)
            elif number is not None and found.scalars and number.ndim == 0:
                arguments.append(number.item())
            else:
                arguments.append(self._tensor(values, name))
        return arguments

    def _number(self, values: dict[str, NodeValue], name: str) -> Array | None:
        value = self.graph.constants.get(name, values.get(name))
        return value if isinstance(value, np.ndarray) else None

    def _tensor(self, values: dict[str, NodeValue], name: str) -> Tensor:
        if name in self._tensor_names:
            return _attribute(self, self._tensor_names[name])
        value = values.get(name)
        if isinstance(value, np.ndarray):
            return as_tensor(np.array(value), self.float_type)
        if value is None:
            raise InputError(
                f"the value {quoted(name)} of the ONNX graph is an output that the node's "
                "operation does not compute; export the model in evaluation mode"
            )
        return value


def known_numbers(graph: Graph) -> set[str]:
    """Return the names of values that depend only on shapes and on constants that are no weights.

    Weights are float constants with axes, except those from which a node takes plain numbers, such
    as its shape or scales.
    """
    asked = _asked_for(graph)
    known = {
        name
        for name, array in graph.constants.items()
        if array.ndim == 0 or not np.issubdtype(array.dtype, np.floating) or name in asked
    }
    for node in graph.nodes:
        computable = is_plain(node) and known.issuperset(filter(None, node.inputs))
        if computable or node.op_type in ("Shape", "Size"):
            known.update(filter(None, node.outputs))
    return known


def _asked_for(graph: Graph) -> set[str]:
    """Return the names of values from which inputs that must be plain numbers are computed."""
    asked: set[str] = set()
    for node in reversed(graph.nodes):
        if is_plain(node) and asked.intersection(node.outputs):
            asked.update(node.inputs)
        found = ONNX_OPERATIONS.get(node.op_type)
        positions = found.numbers if found is not None else ()
        asked.update(node.inputs[i] for i in positions if i < len(node.inputs))
    return asked


def _running_statistics(graph: Graph) -> set[str]:
    nodes = (node for node in graph.nodes if node.op_type == "BatchNormalization")
    return {name for node in nodes for name in node.inputs[3:5]}


def _module_name(node: GraphNode) -> str:
    """Return a module's name for the node, which contains the operation and no dots."""
    name = node.name or node.first_output
    if node.op_type.lower() not in name.lower():
        name = f"{name}_{node.op_type}"
    return name.replace(".", "_")


def _attribute(root: nn.Module, qualified: str) -> Tensor:
    parent, _, last = qualified.rpartition(".")
    found: Tensor = getattr(root.get_submodule(parent), last)
    return found


@contextmanager
def _explain_failure(node: GraphNode) -> Iterator[None]:
    """Turn errors of torch and NumPy about unfit inputs into an InputError that names the node."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = shown(f"{type(error).__name__}: {error}".splitlines()[0], 160)
        raise InputError(
            f"{node.shown} does not fit its inputs ({reason}); export the model again"
        ) from None
