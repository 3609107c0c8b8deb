"""Which weight layer a batch norm follows, by names and sizes alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.tracing.chains.chain import Operation
from clusterability.tracing.naming import natural_key, split_name

_WORD = re.compile(r"_?(?:batch_?norm|bn|norm)_?", re.IGNORECASE)


def place_batch_norms(
    sizes: dict[str, int], operations: Sequence[Operation]
) -> dict[str, Operation | None]:
    """The operation that each batch norm follows; None for one before the first operation.

    A numbered module (``features.1``) follows the weight before it in natural order; a named one
    goes with its sibling: ``conv1`` and ``bn1``, ``fc`` and ``fc_bn``, ``conv`` and ``bn``.
    What is left goes to the only free weight of its size.

    Args:
        sizes: number of channels of each batch norm, by name.
        operations: every weight, in natural order of names.

    Raises:
        InputError: if there is no such weight, or several.
    """
    placed: dict[str, Operation | None] = {}
    left = []
    for norm, size in sizes.items():
        if _comes_first(norm, operations):
            placed[norm] = None
            continue
        fitting = _fitting(_candidates(norm, operations), size)
        if len(fitting) == 1:
            placed[norm] = fitting[0]
        else:
            left.append(norm)
    for norm in left:
        free = [operation for operation in operations if operation not in placed.values()]
        fitting = _fitting(free, sizes[norm])
        if len(fitting) != 1 or not _is_named(norm):
            raise InputError(
                f"batch norm {quoted(norm)} of {sizes[norm]} channels cannot be placed: its name "
                f"and size fit {len(fitting) or 'none'} of the weights; pass the model, or leave "
                "its entries out of the state dict"
            )
        placed[norm] = fitting[0]
    return placed


def _fitting(operations: Sequence[Operation], size: int) -> list[Operation]:
    return [operation for operation in operations if operation.n_out == size]


def _is_named(norm: str) -> bool:
    return not split_name(norm)[1].isdecimal()


def _inside(norm: str, operations: Sequence[Operation]) -> Iterator[Operation]:
    """Operations under the batch norm's own parent, at any depth."""
    parent, _ = split_name(norm)
    for operation in operations:
        if not parent or operation.weight.startswith(f"{parent}."):
            yield operation


def _comes_first(norm: str, operations: Sequence[Operation]) -> bool:
    return (
        not _is_named(norm)
        and operations[0] in _inside(norm, operations)
        and natural_key(norm) < natural_key(operations[0].weight)
    )


def _candidates(norm: str, operations: Sequence[Operation]) -> list[Operation]:
    parent, last = split_name(norm)
    if not _is_named(norm):
        inside = list(_inside(norm, operations))
        if inside:
            key = natural_key(norm)
            return [o for o in inside if natural_key(o.weight) < key][-1:]
        # Two lists side by side: convs.0, convs.1 and norms.0, norms.1.
        grandparent, _ = split_name(parent)
        return [o for o in operations if _cousin(o) == (grandparent, last)]
    siblings = [o for o in operations if split_name(_label(o))[0] == parent]
    core = _WORD.sub("", last)
    if not core:
        return siblings
    if core.isdecimal():
        return [o for o in siblings if re.fullmatch(rf"\D*0*{core}", split_name(_label(o))[1])]
    return [o for o in siblings if split_name(_label(o))[1] == core]


def _label(operation: Operation) -> str:
    return operation.weight.removesuffix(".weight")


def _cousin(operation: Operation) -> tuple[str, str]:
    parent, last = split_name(_label(operation))
    return split_name(parent)[0], last
