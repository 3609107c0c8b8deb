"""Fusion of activations and normalizations that exporters write as several operations.

An activation is one operation, which leaves strengths as they are. Written out, as x * sigmoid(x),
it would look like products and scalings, and the strengths would differ from those of the same
network exported in another way.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from clusterability.reading.onnx.graph import Graph, GraphNode

# An operation with its operands, a number, or a letter, which stands for one value throughout.
Pattern = tuple[Any, ...] | float | str

_COMMUTATIVE = ("Add", "Mul")


def _gelu(inner: Pattern) -> list[Pattern]:
    """Return the patterns of x * (1 + inner) / 2, in every order of the products."""
    grown = ("Add", inner, 1.0)
    return [
        ("Mul", ("Mul", "x", grown), 0.5),
        ("Mul", ("Mul", "x", 0.5), grown),
        ("Mul", "x", ("Mul", grown, 0.5)),
    ]


_CUBES: list[Pattern] = [("Pow", "x", 3.0), ("Mul", "x", ("Mul", "x", "x"))]
_TANH: list[Pattern] = [
    (
        "Tanh",
        ("Mul", ("Add", "x", ("Mul", cube, 0.044715)), math.sqrt(2 / math.pi)),
    )
    for cube in _CUBES
]
_ERF: list[Pattern] = [
    ("Erf", ("Div", "x", math.sqrt(2))),
    ("Erf", ("Mul", "x", math.sqrt(0.5))),
]
_RELU6 = ("Clip", ("Add", "x", 3.0), 0.0, 6.0)
_SIXTHS: list[Pattern] = [("Div", _RELU6, 6.0), ("Mul", _RELU6, 1 / 6)]
_CENTERED = ("Sub", "x", ("ReduceMean", "x", -1.0))
_SQUARES: list[Pattern] = [("Pow", _CENTERED, 2.0), ("Mul", _CENTERED, _CENTERED)]
_NORMAL: list[Pattern] = [
    ("Div", _CENTERED, ("Sqrt", ("Add", ("ReduceMean", square, -1.0), "epsilon")))
    for square in _SQUARES
]

# Operation, its attributes and its patterns; the first pattern that matches counts.
_PATTERNS: list[tuple[str, dict[str, Any], list[Pattern]]] = [
    ("Swish", {}, [("Mul", "x", ("Sigmoid", "x"))]),
    ("Mish", {}, [("Mul", "x", ("Tanh", ("Softplus", "x")))]),
    ("Gelu", {"approximate": "none"}, [p for erf in _ERF for p in _gelu(erf)]),
    ("Gelu", {"approximate": "tanh"}, [p for tanh in _TANH for p in _gelu(tanh)]),
    (
        "HardSwish",
        {},
        [
            ("Mul", "x", ("HardSigmoid", "x", 1 / 6, 0.5)),
            *(("Mul", "x", sixth) for sixth in _SIXTHS),
            ("Div", ("Mul", "x", _RELU6), 6.0),
            ("Mul", ("Mul", "x", _RELU6), 1 / 6),
        ],
    ),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, _SIXTHS),
    (
        "LayerNormalization",
        {"axis": -1},
        [("Add", ("Mul", normal, "scale"), "bias") for normal in _NORMAL],
    ),
    ("LayerNormalization", {"axis": -1}, _NORMAL),
]


def fuse_patterns(graph: Graph) -> Graph:
    """Return the graph with one node in place of each group of nodes that match a pattern."""
    givers = {name: node for node in graph.nodes for name in node.outputs if name}
    matcher = _Matcher(givers, graph)
    nodes = tuple(matcher.fuse(node) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=nodes).without_unused()


class _Matcher:
    """Matches the operations that compute a value against the patterns."""

    def __init__(self, givers: Mapping[str, GraphNode], graph: Graph) -> None:
        self.givers = givers
        self.constants = graph.constants

    def fuse(self, node: GraphNode) -> GraphNode:
        for op_type, attributes, patterns in _PATTERNS:
            for pattern in patterns:
                found = next(self._matches(node.first_output, pattern, {}), None)
                if found is not None and self._are_weights(found):
                    return self._fuse(node, op_type, attributes, found)
        return node

    def _fuse(
        self, node: GraphNode, op_type: str, attributes: dict[str, Any], found: dict[str, str]
    ) -> GraphNode:
        attributes = dict(attributes)
        if "epsilon" in found:
            attributes["epsilon"] = float(self.constants[found["epsilon"]].reshape(()))
        inputs = tuple(found[name] for name in ("x", "scale", "bias") if name in found)
        return dataclasses.replace(node, op_type=op_type, inputs=inputs, attributes=attributes)

    def _are_weights(self, found: Mapping[str, str]) -> bool:
        """Whether scale and bias are constants with one axis, and epsilon is one number."""
        n_axes = {"scale": 1, "bias": 1}
        return all(
            name in self.constants and self.constants[name].ndim == n_axes[letter]
            for letter, name in found.items()
            if letter in n_axes
        ) and ("epsilon" not in found or self._number(found["epsilon"]) is not None)

    def _matches(
        self, value: str | float, pattern: Pattern, bound: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        """Yield every binding of the pattern's letters to names by which it computes the value."""
        if isinstance(pattern, float):
            number = value if isinstance(value, float) else self._number(value)
            if number is not None and math.isclose(number, pattern, rel_tol=1e-4):
                yield bound
        elif isinstance(value, float):
            return
        elif isinstance(pattern, str):
            if bound.get(pattern, value) == value:
                yield {**bound, pattern: value}
        elif value in self.givers and self.givers[value].op_type == pattern[0]:
            operands = _operands(self.givers[value])
            yield from self._match_all(operands, pattern[1:], bound)
            if pattern[0] in _COMMUTATIVE:
                yield from self._match_all(operands[::-1], pattern[1:], bound)

    def _match_all(
        self, operands: list[str | float], patterns: tuple[Any, ...], bound: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        if len(operands) != len(patterns):
            return
        if not patterns:
            yield bound
            return
        for first in self._matches(operands[0], patterns[0], bound):
            yield from self._match_all(operands[1:], patterns[1:], first)

    def _number(self, name: str) -> float | None:
        array = self.constants.get(name)
        if array is None or array.size != 1 or not np.issubdtype(array.dtype, np.number):
            return None
        return float(array.reshape(()))


def _operands(node: GraphNode) -> list[str | float]:
    """Return the names of a node's inputs, and the numbers that its attributes give."""
    operands: list[str | float] = list(node.inputs)
    attributes = node.attributes
    if node.op_type == "Clip" and len(operands) == 1:
        operands += [float(attributes.get("min", -np.inf)), float(attributes.get("max", np.inf))]
    elif node.op_type == "HardSigmoid":
        operands += [float(attributes.get("alpha", 0.2)), float(attributes.get("beta", 0.5))]
    elif node.op_type == "ReduceMean":
        operands += [float(axis) for axis in attributes.get("axes", ())]
        return operands if attributes.get("keepdims", 1) else []
    return operands
