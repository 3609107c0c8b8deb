"""Operations without a rule, in terms of others: as torch itself composes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, fx

from clusterability.tracing.exporting import quiet, without_stack_traces
from clusterability.tracing.operations import RULES

_MOST_ROUNDS = 3
"""How often what a decomposition consists of may itself be decomposed."""


def operation_name(node: fx.Node) -> str:
    """Return an operation's name as the registry of rules has it."""
    if isinstance(node.target, torch._ops.OpOverload):
        namespace, _, name = node.target._schema.name.partition("::")
        return f"{namespace}.{name if name.endswith('__') else name.removesuffix('_')}"
    return str(getattr(node.target, "__name__", node.target))


def of_the_input(program: torch.export.ExportedProgram) -> Iterator[fx.Node]:
    """Yield the operations on tensors whose results depend on the network's input."""
    reached = {n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs}
    for node in program.graph.nodes:
        if not reached.isdisjoint(node.all_input_nodes):
            reached.add(node)
            returns_tensors = isinstance(node.meta.get("val"), Tensor | tuple | list)
            if isinstance(node.target, torch._ops.OpOverload) and returns_tensors:
                yield node


def decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return the program with operations that have no rule written as several that may have one."""
    for _ in range(_MOST_ROUNDS):
        without = {n.target for n in of_the_input(program) if operation_name(n) not in RULES}
        if not without:
            break
        known = torch.export.default_decompositions()
        table = {operation: known[operation] for operation in without if operation in known}
        if not table:
            break
        with quiet(), without_stack_traces(), torch.no_grad():
            program = program.run_decompositions(table)
    return program
