"""The constants of an exported program, by the names that weights use."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from clusterability.tracing.nodes import read_inputs


@dataclass(frozen=True)
class Rearranged:
    """A constant's elements in another shape.

    Attributes:
        first: axes along which only the first entry is taken, since all are the same.
        order: in which its axes come then.
        shape: that it has in the end.
        part: the first and the last but one of the elements that are taken, in that order.
        taken: of each row of a matrix, the element that is taken.
    """

    first: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    part: tuple[int, int] | None = None
    taken: tuple[int, ...] | None = None

    def __call__(self, tensor: Tensor) -> Tensor:
        for axis in self.first:
            tensor = tensor.narrow(axis, 0, 1)
        tensor = tensor.permute(self.order)
        if self.part is not None:
            tensor = tensor.flatten()[slice(*self.part)]
        if self.taken is not None:
            tensor = tensor[range(len(self.taken)), self.taken]
        return tensor.reshape(self.shape)


class Computed:
    """The constants of a program: its parameters, and tensors computed from these alone."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        signature = program.graph_signature
        self.nodes: dict[str, fx.Node] = {}
        self.reshaped: dict[str, tuple[str, Rearranged]] = {}
        """By name, the constant that a weight takes in another shape, and how."""
        self.outer: dict[fx.Node, fx.Node] = {}
        """For each placeholder of a part of the program, the node whose value it takes."""
        self._buffers = set(signature.inputs_to_buffers.values())
        self._parameters = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
        }
        self.sizes = {
            self._parameters[node.name]: node.meta["val"].numel()
            for node in program.graph.nodes
            if node.name in self._parameters
        }
        """By name, the number of elements of each parameter."""
        self._tensors = {
            node: program.constants[name]
            for node, name in signature.inputs_to_lifted_tensor_constants.items()
        }
        # Buffers that are in no state dict still belong to the module.
        self.unsaved = set(signature.non_persistent_buffers)

    def name(self, node: fx.Node) -> str:
        """Return a parameter's name; for a computed constant, its source's and its node's names."""
        if node.name in self._parameters:
            return str(self._parameters[node.name])
        name = f"{self.source(node)} ({node.name})"
        self.nodes[name] = node
        return name

    def source(self, node: fx.Node) -> str:
        """Return the first parameter that a constant depends on, or else the first buffer."""
        sources = self.sources(node)
        return min(sources - self._buffers or sources, default="constant")

    def evaluate(self, node: fx.Node, parameters: Mapping[str, Tensor]) -> Any:
        """Return the constant's value, differentiable in the parameters."""
        known: dict[fx.Node, Any] = {}
        waiting = [node]
        while waiting:
            current = waiting[-1]
            missing = [n for n in self._inputs(current) if n not in known]
            if current in known or not missing:
                waiting.pop()
                known.setdefault(current, self._value(current, known, parameters))
            else:
                waiting += missing
        return known[node]

    def _value(
        self, node: fx.Node, known: Mapping[fx.Node, Any], parameters: Mapping[str, Tensor]
    ) -> Any:
        if node in self.outer:
            return known[self.outer[node]]
        if node.op == "placeholder":
            if node.name in self._parameters:
                return parameters[self._parameters[node.name]]
            return self._tensors[node.name]
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(node.graph.owning_module)
        args, kwargs = fx.map_arg(
            (node.args, node.kwargs), lambda n: known[n] if n in known else _form(n)
        )
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def sources(self, node: fx.Node) -> set[str]:
        """Return the names of the parameters and buffers that a constant depends on."""
        found, waiting, seen = set(), [node], set()
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            if current not in self.outer and current.name in self._parameters:
                found.add(self._parameters[current.name])
            waiting += self._inputs(current)
        return found

    def _inputs(self, node: fx.Node) -> list[fx.Node]:
        return [self.outer[node]] if node in self.outer else read_inputs(node)


def _form(node: fx.Node) -> Tensor:
    """Return zeros of the shape and type of a tensor of which only these matter."""
    like = node.meta["val"]
    return torch.zeros((), dtype=like.dtype, device=like.device).expand(like.shape)
