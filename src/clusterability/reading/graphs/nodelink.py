"""Graphs of networkx, and node-link JSON as ``networkx.node_link_data`` writes it."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.parts import DIRECTED, GraphParts
from clusterability.shown import described

if TYPE_CHECKING:
    import networkx

MODULUS = 2**61 - 1
"""Python hashes integers modulo this number: its multiples all fall into one place of a table."""

EDGE_KEYS = ("edges", "links")
"""Keys under which newer and older versions of networkx write the edges."""

_ENDS = ("source", "target", "key")
"""What tells which edge it is, and is no attribute of it."""


class _LargeInteger(int):
    """An integer that is hashed by its digits."""

    def __hash__(self) -> int:
        return hash(str(self))


def graph_from_networkx(graph: networkx.Graph, edge_weight: str | None = None) -> NeuronGraph:
    """Return the graph of an undirected networkx graph; parallel edges add up.

    Nodes may have an attribute ``layer``, a string or a whole number, and edges ``weight``, 1
    where it is missing, as :meth:`NeuronGraph.to_networkx` writes them.

    Args:
        graph: the graph.
        edge_weight: the attribute of edges that is their weight; by default ``weight``.

    Raises:
        InputError: if the graph is directed, no edge has the weight but other numbers, or it cannot
            be measured.
    """
    if graph.is_directed():
        raise InputError(DIRECTED)
    parts = GraphParts(edge_weight)
    for node, layer in graph.nodes(data="layer"):
        parts.add_node(node, layer)
    for source, target, attributes in graph.edges(data=True):
        parts.add_edge(source, target, attributes)
    return parts.graph()


def read_node_link(path: Path, edge_weight: str | None = None) -> NeuronGraph:
    """Return the graph in a file of node-link JSON; see :func:`graph_from_networkx`.

    Raises:
        InputError: if the JSON is of another form, or the graph cannot be measured.
    """
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise InputError(f"the JSON is a {type(data).__name__}, expected an object with nodes")
    if data.get("directed", False) is not False:
        raise InputError(DIRECTED)
    keys = [key for key in EDGE_KEYS if key in data]
    if "nodes" not in data or len(keys) != 1:
        raise InputError(
            "the JSON must have 'nodes' and either 'edges' or 'links', as "
            f"networkx.node_link_data writes them; it has {described(sorted(data))}"
        )
    parts = GraphParts(edge_weight)
    for node in _objects(data, "nodes"):
        parts.add_node(_identifier(node, "id", "nodes"), node.get("layer"))
    for edge in _objects(data, keys[0]):
        source, target = (_identifier(edge, end, keys[0]) for end in ("source", "target"))
        attributes = {name: value for name, value in edge.items() if name not in _ENDS}
        parts.add_edge(source, target, attributes)
    return parts.graph()


def _objects(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = data[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{key!r} must be a list of objects, as networkx.node_link_data writes it")
    return entries


def _identifier(entry: dict[str, Any], key: str, where: str) -> Hashable:
    if key not in entry:
        raise InputError(f"{described(entry)} in {where!r} has no {key!r}")
    return _hashable(entry[key])


def _hashable(identifier: Any) -> Hashable:
    """Return an id as a hashable value: JSON turns tuples, such as nodes of a grid, into lists."""
    if isinstance(identifier, list):
        return tuple(map(_hashable, identifier))
    if isinstance(identifier, int) and abs(identifier) >= MODULUS:
        return _LargeInteger(identifier)
    if isinstance(identifier, str | int | float):
        return identifier
    raise InputError(f"{described(identifier)} is no id of a node, expected a string or a number")
