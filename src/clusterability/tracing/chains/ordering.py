"""The order and the orientation in which weights, known by name and shape alone, form a chain."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from clusterability.errors import InputError
from clusterability.shown import listed, quoted, shown
from clusterability.tracing.chains.attention import check_feed_forward
from clusterability.tracing.chains.chain import Kind, Operation, n_pixels, why_not
from clusterability.tracing.naming import split_name
from clusterability.wiring.weights import Layout

# Looking for another order is a courtesy; among many weights it could take for ever.
MAX_SEARCHED_WEIGHTS = 64
MAX_SEARCH_STEPS = 20_000


@dataclass(frozen=True)
class NamedShape:
    """A weight's parameter name and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def label(self) -> str:
        """The name of the layer that it produces."""
        for suffix in (".weight", ".kernel"):
            if self.name.endswith(suffix):
                return self.name.removesuffix(suffix)
        return self.name


_PASS_MODEL = (
    "build the model that they were trained in, load them into it with load_state_dict, and pass "
    "the model (on the command line module:callable, a function that returns it) or an ONNX file"
)


def chain_operations(
    weights: Sequence[NamedShape], given: bool = False
) -> tuple[list[Operation], list[str]]:
    """Weights in their order as operations that chain, and notes on the choices made.

    PyTorch's orientation (out, in, *kernel) is taken unless only (*kernel, in, out) chains, or it
    alone is plausible: kernels larger than their channels, or dense weights named ``kernel``.

    Args:
        weights: in natural order of their names, or in the order that the user gave.
        given: whether it is the latter.

    Raises:
        InputError: if they do not chain, with the remedy.
    """
    layouts = _layouts(weights)
    for layout in layouts:
        operations = as_operations(weights, layout)
        if _first_break(operations) is None:
            return operations, _notes(operations, weights, given)
    raise InputError(_refusal(weights, as_operations(weights, layouts[0]), given))


def as_operations(weights: Sequence[NamedShape], layout: Layout) -> list[Operation]:
    """Each weight as an operation, in the given orientation."""
    operations = []
    for weight in weights:
        n_out, n_in = weight.shape[:2] if layout == "out-in" else weight.shape[:-3:-1]
        kind: Kind = "dense" if len(weight.shape) == 2 else "conv"
        operations.append(Operation(shown(weight.label), weight.name, kind, n_in, n_out, layout))
    return operations


def _layouts(weights: Sequence[NamedShape]) -> tuple[Layout, Layout]:
    """Both orientations, the more plausible first."""
    kernels = [weight.shape for weight in weights if len(weight.shape) > 2]
    # A 3 x 3 x 32 x 64 kernel of TensorFlow always chains as 3 channels to 3 with 32 x 64 kernels.
    torch_pixels = sum(math.prod(shape[2:]) for shape in kernels)
    other_pixels = sum(math.prod(shape[:-2]) for shape in kernels)
    named_kernel = all(split_name(weight.name)[1] == "kernel" for weight in weights)
    if other_pixels < torch_pixels or (other_pixels == torch_pixels and named_kernel):
        return "in-out", "out-in"
    return "out-in", "in-out"


def _first_break(operations: Sequence[Operation]) -> int | None:
    """Index of the first operation that the next cannot follow."""
    for i, (previous, following) in enumerate(pairwise(operations)):
        if n_pixels(previous, following) is None:
            return i
    return None


def _notes(operations: list[Operation], weights: Sequence[NamedShape], given: bool) -> list[str]:
    names = listed([operation.name for operation in operations], " -> ")
    sizes = listed([operations[0].n_in, *(o.n_out for o in operations)], "-")
    order = "the order given" if given else "the order of their names"
    notes = [f"read as a chain of layers in {order}: {names} ({sizes})"]
    if operations[0].layout == "in-out":
        notes.append("weights read as (in, out), not as PyTorch's (out, in)")
    if _chains_both_ways(operations, weights):
        notes.append("the weights would also chain if their two axes were swapped")
    if not given and _has_other_order(operations):
        notes.append(
            "the shapes allow other orders too; if this is not the network's, give its own with "
            "--order"
        )
    return notes


def _chains_both_ways(operations: Sequence[Operation], weights: Sequence[NamedShape]) -> bool:
    if len(operations) < 2 or any(operation.kind == "conv" for operation in operations):
        return False
    other: Layout = "in-out" if operations[0].layout == "out-in" else "out-in"
    return _first_break(as_operations(weights, other)) is None


def _signature(operation: Operation) -> tuple[str, int, int]:
    return operation.kind, operation.n_in, operation.n_out


def _has_other_order(operations: Sequence[Operation]) -> bool:
    if len({_signature(operation) for operation in operations}) < len(operations):
        return True
    orders, _ = find_orders(operations)
    return any(order != list(operations) for order in orders)


def find_orders(operations: Sequence[Operation]) -> tuple[list[list[Operation]], bool]:
    """Return up to two orders that chain, and whether all were searched until then.

    Operations of one signature keep their order among themselves.
    """
    if len(operations) > MAX_SEARCHED_WEIGHTS:
        return [], False
    found: list[list[Operation]] = []
    open_chains: list[tuple[list[Operation], list[Operation]]] = [([], list(operations))]
    for _ in range(MAX_SEARCH_STEPS):
        if not open_chains or len(found) == 2:
            return found, True
        chain, rest = open_chains.pop()
        if not rest:
            found.append(chain)
        tried = set()
        for i, operation in enumerate(rest):
            is_new = _signature(operation) not in tried
            tried.add(_signature(operation))
            if is_new and (not chain or n_pixels(chain[-1], operation) is not None):
                open_chains.append(([*chain, operation], rest[:i] + rest[i + 1 :]))
    return found, False


def _refusal(weights: Sequence[NamedShape], operations: Sequence[Operation], given: bool) -> str:
    first = _first_break(operations) or 0
    previous, following = operations[first : first + 2]
    pair = " and ".join(f"{quoted(w.name)} {w.shape}" for w in weights[first : first + 2])
    how = "in the order given" if given else "in natural order of their names"
    truth = f"the weights do not chain {how}: of {pair}, {why_not(previous, following)}"
    orders, complete = find_orders(operations)
    if len(orders) == 1 and complete and not given:
        check_feed_forward([weight.name for weight in weights])
        how = order_of([operation.name for operation in orders[0]])
        return f"{truth}; the one order that fits their shapes is {how}"
    grouped = _grouped(operations)
    if grouped:
        return (
            f"{grouped}, and weights alone do not say how a network with groups and skips is "
            f"connected; {_PASS_MODEL}"
        )
    return (
        f"{truth}; weights alone do not say how a network with skips or attention is connected: "
        f'{_PASS_MODEL}; or name the weights that form a chain (order=["fc1", "fc2"] in Python, '
        "--order fc1,fc2 on the command line)"
    )


def order_of(names: Sequence[str]) -> str:
    """Say how weights are given in an order, for an error message."""
    entries = ", ".join(f'"{name}"' for name in names)
    return (
        f"order=[{entries}] in Python, --order {shlex.quote(','.join(names))} on the command line"
    )


def _grouped(operations: Sequence[Operation]) -> str | None:
    """A clause on the first convolution that reads fewer channels than the one before gives."""
    convolutions = [operation for operation in operations if operation.kind == "conv"]
    for previous, following in pairwise(convolutions):
        n_groups, rest = divmod(previous.n_out, following.n_in)
        if n_groups > 1 and not rest and following.n_out % n_groups == 0:
            kind = "depthwise" if following.n_in == 1 else "grouped"
            return (
                f"{quoted(following.name)} takes {following.n_in} of the {previous.n_out} channels "
                f"that {quoted(previous.name)} gives: a {kind} convolution"
            )
    return None
