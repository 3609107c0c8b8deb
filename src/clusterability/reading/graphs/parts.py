"""A collector of nodes and edges, which are checked one by one as a file lists them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from numbers import Real

import numpy as np

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.edges import EdgeList, check_layers, graph_of_edges
from clusterability.shown import described, quoted, shown

DIRECTED = (
    "the graph is directed, but an n-cut needs an undirected one; make it so first, for example "
    "with networkx's to_undirected"
)

WEIGHT = "weight"
"""The attribute of edges that is their weight if no other is named."""

MOST_REMEMBERED = 8
"""Names of attributes of edges to keep for a message."""


class GraphParts:
    """Collects a graph's nodes and edges, in any order, and builds it from them.

    Args:
        edge_weight: the attribute that holds the weights of edges, 1 where it is missing; None for
            ``weight``, unless no edge has it and other numbers are there.
    """

    def __init__(self, edge_weight: str | None = None) -> None:
        self._name = WEIGHT if edge_weight is None else edge_weight
        self._may_be_missing = edge_weight == WEIGHT
        self._is_weighted = False
        self._numbers: dict[str, None] = {}
        self._layers: dict[Hashable, object] = {}
        self._edges: list[tuple[Hashable, Hashable, float]] = []

    def add_node(self, node: Hashable, layer: object = None) -> None:
        """Add a node, with its layer if it has one.

        Raises:
            InputError: if the node has been added before.
        """
        if node in self._layers:
            raise InputError(f"two nodes have the id {quoted(node)}; ids must be unique")
        self._layers[node] = layer

    def add_edge(
        self, source: Hashable, target: Hashable, attributes: Mapping[str, object]
    ) -> None:
        """Add an edge, whose nodes may follow later, with its attributes by name.

        Raises:
            InputError: if the weight is no number.
        """
        weight = attributes.get(self._name, 1.0)
        self._is_weighted |= self._name in attributes
        if not self._is_weighted and len(self._numbers) < MOST_REMEMBERED:
            numbers = (name for name, value in attributes.items() if _is_number(value))
            self._numbers.update(dict.fromkeys(numbers))
        if not _is_number(weight):
            raise InputError(
                f"the edge between {quoted(source)} and {quoted(target)} has the "
                f"{shown(self._name)} {described(weight)}, expected a number"
            )
        try:
            self._edges.append((source, target, float(weight)))  # type: ignore[arg-type]
        except OverflowError:
            self._edges.append((source, target, float("inf")))

    def graph(self) -> NeuronGraph:
        """Return the graph of all added nodes and edges.

        Raises:
            InputError: if an edge names an unknown node, only some nodes have a layer, no edge has
                the weight but there are other numbers, or :func:`graph_of_edges` refuses the graph.
        """
        self._check_weighted()
        index = {node: i for i, node in enumerate(self._layers)}
        ends = np.empty((2, len(self._edges)), np.int64)
        for i, edge in enumerate(self._edges):
            for side, node in enumerate(edge[:2]):
                if node not in index:
                    raise InputError(f"an edge names the node {quoted(node)}, which is not listed")
                ends[side, i] = index[node]
        weights = np.array([edge[2] for edge in self._edges], dtype=np.float64)
        return graph_of_edges(EdgeList(list(index), ends[0], ends[1], weights, self._of_nodes()))

    def _check_weighted(self) -> None:
        if self._is_weighted or self._may_be_missing:
            return
        found = list(self._numbers)
        if self._name != WEIGHT:
            remedy = f"name one of {described(found)}" if found else "leave edge_weight out"
            raise InputError(f"no edge has the attribute {quoted(self._name)}; {remedy}")
        if found:
            name = shown(found[0])
            raise InputError(
                f"no edge has a 'weight', but there are the numbers {described(found)}; if one is "
                f'the weight, pass edge_weight="{name}" (--edge-weight {name} on the command '
                'line), and if every edge counts 1, edge_weight="weight"'
            )

    def _of_nodes(self) -> list[str | int] | None:
        """Return the layer of each node; None if no node has one."""
        without = [node for node, layer in self._layers.items() if layer is None]
        if len(without) == len(self._layers):
            return None
        if without:
            raise InputError(
                f"node {quoted(without[0])} has no layer, but other nodes have one; give all of "
                "them a layer, or none"
            )
        return check_layers(list(self._layers.values()))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
