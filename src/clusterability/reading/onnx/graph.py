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
    """One operation: names of the values that it reads ('' where left out) and gives."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 0

    @property
    def shown(self) -> str:
        """The node as messages name it.

        >>> GraphNode("Conv_0", "Conv", ("x", "w"), ("y",)).shown
        "node 'Conv_0' (Conv)"
        """
        name = quoted(self.name) if self.name else f"that gives {quoted(self.first_output)}"
        return f"node {name} ({quoted(self.op_type)[1:-1]})"

    @property
    def first_output(self) -> str:
        """The first of its outputs that has a name."""
        return next(filter(None, self.outputs), "")


@dataclass(frozen=True)
class GraphInput:
    """An input: a size, or None where the file leaves it open, for each axis; None if no rank."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they run, constants by name, and names of outputs."""

    nodes: tuple[GraphNode, ...]
    constants: dict[str, Array]
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]

    def without_unused(self) -> Graph:
        """The graph without the nodes and constants from which no output follows."""
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
        InputError: that names the node and the value.
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
