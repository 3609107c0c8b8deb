"""A chain of weight operations, each reading what the one before produces, as a wiring.

Conventions of section 1.1 of Filan et al. (2021). In an MLP inputs and outputs are layers too: n
weights give n + 1 layers and n blocks. In a CNN (any convolution) the layers are the channels that
the convolutions produce: n convolutions give n layers and n - 1 blocks, and the image and the dense
part are left out unless included.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from clusterability.arguments import some_of
from clusterability.errors import InputError
from clusterability.graph import Layer
from clusterability.registries import INCLUDABLE
from clusterability.shown import listed, quoted
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import Entries
from clusterability.wiring.scales import BatchNorm
from clusterability.wiring.weights import Layout, Weight
from clusterability.wiring.wiring import Wiring

Kind = Literal["dense", "conv"]


@dataclass(frozen=True)
class Operation:
    """A dense layer or a convolution: its weight, its sizes, and the batch norms that follow it."""

    name: str
    weight: str
    kind: Kind
    n_in: int
    n_out: int
    layout: Layout = "out-in"
    norms: tuple[BatchNorm, ...] = ()


def chain_wiring(operations: Sequence[Operation], include: Collection[str] = ()) -> Wiring:
    """The wiring of a chain.

    Args:
        operations: in the order of the forward pass.
        include: for a CNN, ``"input"`` adds the image's channels as a layer and ``"dense"`` the
            dense part, whose first weight joins the last convolution's channels, a channel's
            flattened pixels summed. An MLP is always taken whole.

    Raises:
        InputError: if two operations do not fit, ``include`` is unknown, or no block is left.

    >>> wiring = chain_wiring([Operation("0", "0.weight", "dense", 4, 3)])
    >>> [layer.name for layer in wiring.layers]
    ['input', '0']
    """
    check_include(include)
    if not operations:
        raise InputError("there is no weight layer: expected a dense layer or a convolution")
    for previous, following in pairwise(operations):
        if n_pixels(previous, following) is None:
            raise InputError(
                f"{why_not(previous, following)}; correct one of the two, or pass a part of the "
                "network that chains"
            )
    kept = [operation for operation in operations if _is_kept(operation, operations, include)]
    if _is_cnn(operations) and "input" not in include:
        if len(kept) < 2:
            raise InputError(
                f"the only convolution, {quoted(kept[0].name)}, leaves no two layers of hidden "
                'channels to join; pass include=("input",) or include=("dense",), '
                "on the command line --include"
            )
        first = [Layer(kept[0].name, kept[0].n_out)]
        wiring = _joined(first, kept[0], kept[1:])
    else:
        wiring = _joined([Layer("input", kept[0].n_in)], None, kept)
    return replace(wiring, left_out=_left_out(operations, include))


def n_pixels(previous: Operation, following: Operation) -> int | None:
    """Inputs of the following operation per output of the previous; None if they do not chain."""
    if previous.kind == "dense" and following.kind == "conv":
        return None
    if previous.kind == "conv" and following.kind == "dense":
        whole, rest = divmod(following.n_in, previous.n_out)
        return whole if whole and not rest else None
    return 1 if previous.n_out == following.n_in else None


def why_not(previous: Operation, following: Operation) -> str:
    """A clause that says why the two do not chain."""
    first, second = quoted(previous.name), quoted(following.name)
    if previous.kind == "dense" and following.kind == "conv":
        return f"{second} is a convolution and cannot follow the dense {first} in a chain"
    if previous.kind != following.kind:
        return (
            f"{second} takes {following.n_in} inputs, which is no multiple of the {previous.n_out} "
            f"channels that {first} gives"
        )
    return f"{first} gives {previous.n_out} but {second} takes {following.n_in}"


def _left_out(operations: Sequence[Operation], include: Collection[str]) -> tuple[str, ...]:
    """Return the parts of a CNN that are left out, in words."""
    if not _is_cnn(operations):
        return ()
    dense = [operation.name for operation in operations if operation.kind == "dense"]
    parts = []
    if "input" not in include:
        parts.append(image_part([operations[0].name]))
    if dense and "dense" not in include:
        parts.append(dense_part(dense))
    return tuple(parts)


def image_part(names: Sequence[str]) -> str:
    """Name the part of a CNN that is in its graph only with ``include=("input",)``."""
    return f"the image and the convolution that reads it ({listed(names)})"


def dense_part(names: Sequence[str]) -> str:
    """Name the part of a CNN that is in its graph only with ``include=("dense",)``."""
    return f"the dense part ({listed(names)})"


def check_include(include: Collection[str]) -> None:
    """Refuse what cannot be included.

    Raises:
        InputError: if ``include`` is no collection, one string, or names something unknown.
    """
    some_of("include", include, INCLUDABLE)


def _is_cnn(operations: Sequence[Operation]) -> bool:
    return any(operation.kind == "conv" for operation in operations)


def _is_kept(
    operation: Operation, operations: Sequence[Operation], include: Collection[str]
) -> bool:
    return operation.kind == "conv" or "dense" in include or not _is_cnn(operations)


def _joined(layers: list[Layer], last: Operation | None, operations: Sequence[Operation]) -> Wiring:
    """Every operation joins the layer before it to one of its own."""
    connections = []
    for operation in operations:
        pixels = (n_pixels(last, operation) if last else 1) or 1
        layers.append(Layer(operation.name, operation.n_out))
        connections.append(
            Connection(
                source=len(layers) - 2,
                target=len(layers) - 1,
                weight=Weight(operation.weight, operation.layout),
                inputs=_flattened(layers[-2].n_neurons, pixels, operation.layout),
                routes=(Route(scales=tuple((norm, None) for norm in operation.norms)),),
            )
        )
        last = operation
    return Wiring(tuple(layers), tuple(connections))


def _flattened(n_channels: int, n_pixels: int, layout: Layout) -> Entries:
    """The channel of each input of a dense weight, flattened as its layout says."""
    if n_pixels == 1:
        return None
    if layout == "in-out":
        return tuple(range(n_channels)) * n_pixels
    return tuple(channel for channel in range(n_channels) for _ in range(n_pixels))
