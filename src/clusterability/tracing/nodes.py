"""The nodes of an exported program: their operations, and the inputs that matter to them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, fx

_FORMS = {
    **{f"aten.{kind}_like": 0 for kind in ("zeros", "ones", "full", "empty", "rand", "randn")},
    **{f"aten.new_{kind}": 0 for kind in ("zeros", "ones", "full", "empty")},
    **{f"aten.{kind}_as": 1 for kind in ("expand", "view", "reshape", "type")},
}
"""Operations that take only shape and type of one of their tensors, with its place."""

_NOISE = {
    *("aten.rand", "aten.randn", "aten.rand_like", "aten.randn_like", "aten.normal"),
    *("aten.normal_functional", "aten.uniform", "aten.bernoulli", "aten.exponential"),
    *("aten.cauchy", "aten.log_normal", "aten.geometric", "aten.poisson"),
}
"""Operations that draw numbers anew in each forward pass."""


def operation_name(node: fx.Node) -> str:
    """Return an operation's name as the registry of rules has it."""
    return name_of(node.target)


@cache
def name_of(operation: object) -> str:
    """Return the name of an operation itself, which a node calls."""
    if isinstance(operation, torch._ops.OpOverload):
        namespace, _, name = operation._schema.name.partition("::")
        return f"{namespace}.{name if name.endswith('__') else name.removesuffix('_')}"
    return str(getattr(operation, "__name__", operation))


def read_inputs(node: fx.Node) -> list[fx.Node]:
    """Return the inputs of an operation whose values matter to it, not only shape and type."""
    place = _FORMS.get(operation_name(node)) if node.op == "call_function" else None
    if place is None or len(node.args) <= place:
        return list(node.all_input_nodes)
    found: list[fx.Node] = []
    args = tuple(arg for i, arg in enumerate(node.args) if i != place)
    fx.map_arg((args, node.kwargs), found.append)
    return found


def is_noise(node: fx.Node) -> bool:
    """Whether a node draws random numbers."""
    return node.op == "call_function" and operation_name(node) in _NOISE


def of_the_input(program: torch.export.ExportedProgram) -> Iterator[fx.Node]:
    """Yield the operations on tensors whose results depend on the network's input."""
    inputs = set(program.graph_signature.user_inputs)  # torch makes the list anew at each look
    reached = {n for n in program.graph.nodes if n.name in inputs}
    for node in program.graph.nodes:
        if not reached.isdisjoint(read_inputs(node)):
            reached.add(node)
            returns_tensors = isinstance(node.meta.get("val"), Tensor | tuple | list)
            if isinstance(node.target, torch._ops.OpOverload) and returns_tensors:
                yield node
