"""Blocks that repeat what one weight gives: copies of each other, and parts of others.

A skip connection or a concatenation leads the outputs of a weight to several layers. A shuffle must
permute the strengths of such blocks alike, or it is the graph of no network.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from clusterability.shown import listed
from clusterability.wiring.connections import Connection
from clusterability.wiring.weights import Weight

_Columns = tuple[int, ...] | None
"""Which output of the weight arrives at each neuron of the target; None if not just one does."""

_Parts = dict[int, tuple[int, tuple[int, ...]]]
"""For each block that is a part the whole, and the columns there. Copies count as one block."""


def relate(
    connections: Sequence[Connection], sizes: Sequence[int]
) -> tuple[list[Connection], list[str]]:
    """Give copies of one block a common name, and tell which blocks are parts of which.

    Args:
        connections: those of a wiring.
        sizes: number of neurons of each layer.

    Returns:
        The connections, and the names of weights of which blocks repeat outputs in a way that is
        neither.
    """
    numbers: dict[object, int] = {}
    blocks = [numbers.setdefault(_key(c), len(numbers)) for c in connections]
    of_weight: defaultdict[tuple[int, Weight], dict[int, Connection]] = defaultdict(dict)
    for connection, block in zip(connections, blocks, strict=True):
        of_weight[connection.source, connection.weight].setdefault(block, connection)
    parts: _Parts = {}
    others: dict[str, None] = {}
    for (_, weight), found in of_weight.items():
        if len(found) == 1 and not any(map(_repeats, found.values())):
            continue
        columns = {block: _columns(c, sizes[c.target]) for block, c in found.items()}
        of_these, all_told = _find_parts(columns)
        parts |= of_these
        if not all_told:
            others[weight.name] = None
    copies, wholes = Counter(blocks), {whole for whole, _ in parts.values()}

    names = {
        block: f"{connection.weight.name} #{block}"
        for block, connection in zip(blocks, connections, strict=True)
        if block not in parts and (copies[block] > 1 or block in wholes)
    }
    found_parts = {block: (names[whole], columns) for block, (whole, columns) in parts.items()}
    related = [
        Connection(
            *(c.source, c.target, c.weight, c.inputs, c.routes),
            names.get(block),
            found_parts.get(block),
        )
        if block in names or block in found_parts
        else c
        for c, block in zip(connections, blocks, strict=True)
    ]
    return related, list(others)


def notes_on_repeats(others: Sequence[str], shared: Sequence[str]) -> tuple[str, ...]:
    """Return notes on what repeats in a network and not in its shuffles.

    Args:
        others: weights of which blocks repeat outputs in a way that shuffles lose.
        shared: weights that serve in several places.
    """
    repeated = "some outputs reach layers several times in ways that shuffles do not keep"
    several = "some weights serve in several places of the network"
    return tuple(
        f"{what}: {listed(names)}; shuffles permute each such block by itself, and p may be too "
        "small"
        for what, names in ((repeated, others), (several, shared))
        if names
    )


def _key(connection: Connection) -> object:
    """Return a key that copies of a block share, even if the scales on their routes differ."""
    ends = tuple((route.channels, route.neurons) for route in connection.routes)
    return connection.source, connection.weight, ends


def _columns(connection: Connection, n_neurons: int) -> _Columns:
    """Return which output of the weight arrives at each neuron, where just one does."""
    if len(connection.routes) != 1:
        return None
    (route,) = connection.routes
    neurons = range(n_neurons) if route.neurons is None else route.neurons
    channels = range(len(neurons)) if route.channels is None else route.channels
    arriving = dict(zip(neurons, channels, strict=True))
    if not len(arriving) == len(neurons) == n_neurons:
        return None
    return tuple(arriving[neuron] for neuron in range(n_neurons))


def _repeats(connection: Connection) -> bool:
    """Whether a route leads one output of the weight to several neurons."""
    routes = [route.channels for route in connection.routes if route.channels is not None]
    return any(len(set(channels)) < len(channels) for channels in routes)


def _find_parts(blocks: Mapping[int, _Columns]) -> tuple[_Parts, bool]:
    """Return which blocks of one weight are parts, and whether that tells of all that repeats."""
    wholes: dict[int, dict[int, int]] = {}
    parts: _Parts = {}
    all_told = len(blocks) == 1 or None not in blocks.values()
    known = [(block, columns) for block, columns in blocks.items() if columns is not None]
    for block, columns in sorted(known, key=lambda one: -len(set(one[1]))):
        outputs = set(columns)
        whole = next((w for w, places in wholes.items() if outputs <= places.keys()), None)
        if whole is not None:
            parts[block] = whole, tuple(wholes[whole][output] for output in columns)
            continue
        repeats = len(outputs) < len(columns)
        if repeats or any(not outputs.isdisjoint(places) for places in wholes.values()):
            all_told = False
        wholes[block] = {output: column for column, output in enumerate(columns)}
    return parts, all_told
