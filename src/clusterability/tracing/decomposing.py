"""Operations without a rule, in terms of others: as torch itself composes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, fx

from clusterability.tracing.exporting import quiet, without_stack_traces
from clusterability.tracing.operations import RULES

_DIFFERENCES = {"aten.diff", "aten.gradient"}
"""Operations that subtract an element from another one, so that nothing is taken away again."""

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

_MOST_ROUNDS = 3
"""How often what a decomposition consists of may itself be decomposed."""


def operation_name(node: fx.Node) -> str:
    """Return an operation's name as the registry of rules has it."""
    return _name(node.target)


def _name(operation: object) -> str:
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


def decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return the program with operations that have no rule written as several that may have one.

    Not those of which a part is taken away again, as the trapezoidal rule adds all and subtracts
    half of the ends: strengths of both would be added.
    """
    left: set[object] = set()
    for _ in range(_MOST_ROUNDS):
        without = {n.target for n in of_the_input(program) if operation_name(n) not in RULES} - left
        if not without:
            break
        known = torch.export.default_decompositions()
        composed = {operation for operation in without if operation in known}
        for operation in sorted(composed, key=str):
            with quiet(), without_stack_traces(), torch.no_grad():
                written = program.run_decompositions({operation: known[operation]})
            takes_away = _n_differences(written) > _n_differences(program)
            if takes_away and _name(operation) not in _DIFFERENCES:
                left.add(operation)
            else:
                program = written
        left |= without - composed
    return program


def _n_differences(program: torch.export.ExportedProgram) -> int:
    """Return how often one tensor that depends on the network's input is subtracted from one."""
    reached = {*of_the_input(program)}
    differences = (n for n in reached if operation_name(n) in ("aten.sub", "aten.rsub"))
    return sum(len(reached.intersection(node.all_input_nodes)) > 1 for node in differences)
