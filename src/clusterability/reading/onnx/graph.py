"""An ONNX graph as plain Python values, and the rules that every graph must keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.errors import InputError
from clusterability.shown import quoted

Array = NDArray[Any]


@dataclass(frozen=True)
class GraphNode:
    """One operation, with the names of its inputs ('' for one left out) and its outputs."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 0

    @property
    def shown(self) -> str:
        """The node's name and type, as messages show them.

        >>> GraphNode("Conv_0", "Conv", ("x", "w"), ("y",)).shown
        "node 'Conv_0' (Conv)"
        """
        name = quoted(self.name) if self.name else f"that gives {quoted(self.first_output)}"
        return f"node {name} ({quoted(self.op_type)[1:-1]})"

    @property
    def first_output(self) -> str:
        """The name of the first output that has one; empty if none has."""
        return next(filter(None, self.outputs), "")


@dataclass(frozen=True)
class GraphInput:
    """An input. Its shape has None for open axes, and is None if the file declares no shape."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they run, constants by name, inputs, and names of outputs."""

    nodes: tuple[GraphNode, ...]
    constants: dict[str, Array]
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]

    def without_unused(self) -> Graph:
        """Return the graph without the nodes and constants on which no output depends."""
        wanted = set(self.outputs)
        nodes = []
        for node in reversed(self.nodes):
            if wanted.intersection(filter(None, node.outputs)):
                nodes.append(node)
                wanted.update(node.inputs)
        constants = {name: array for name, array in self.constants.items() if name in wanted}
        return Graph(tuple(reversed(nodes)), constants, self.inputs, self.outputs)


def check_order(graph: Graph) -> None:
    """Refuse names that are given twice, or read before they are given.

    Raises:
        InputError: if there is such a name, or an output is missing.
    """
    known = {*graph.constants, *(value.name for value in graph.inputs)}
    givers = {name: node for node in graph.nodes for name in node.outputs if name}
    for node in graph.nodes:
        for name in filter(None, node.inputs):
            if name not in known:
                raise InputError(_unordered(node, name, givers.get(name)))
        for name in filter(None, node.outputs):
            if name in known:
                raise InputError(
                    f"{node.shown} gives {quoted(name)}, which the graph has already, expected "
                    "each name to be given once; export the model again"
                )
            known.add(name)
    _check_outputs(graph.outputs, known)


def _unordered(node: GraphNode, name: str, giver: GraphNode | None) -> str:
    if giver is None:
        return (
            f"{node.shown} reads {quoted(name)}, which no node, input or initializer of the graph "
            "gives; export the model again"
        )
    return (
        f"{node.shown} reads {quoted(name)}, which {giver.shown} gives only later, so that the "
        "graph is cyclic or not in the order that the format demands; export the model again"
    )


def _check_outputs(outputs: Sequence[str], known: Iterable[str]) -> None:
    if not outputs:
        raise InputError("the ONNX graph has no outputs; export the model again")
    for name in outputs:
        if name not in known:
            raise InputError(
                f"the output {quoted(name)} of the ONNX graph is given by no node; export the "
                "model again"
            )
