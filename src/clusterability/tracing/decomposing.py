"""Operations without a rule, in terms of others: as torch itself composes them."""

from __future__ import annotations

import torch

from clusterability.tracing.exporting import only_to_walk, quiet
from clusterability.tracing.nodes import name_of, of_the_input, operation_name
from clusterability.tracing.operations import RULES

_DIFFERENCES = {"aten.diff", "aten.gradient"}
"""Operations that subtract an element from another one, so that nothing is taken away again."""

_MOST_ROUNDS = 3
"""How often what a decomposition consists of may itself be decomposed."""


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
            with quiet(), only_to_walk(), torch.no_grad():
                written = program.run_decompositions({operation: known[operation]})
            takes_away = _n_differences(written) > _n_differences(program)
            if takes_away and name_of(operation) not in _DIFFERENCES:
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
