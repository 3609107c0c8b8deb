"""A collector of nodes and edges, which are checked one by one as a file lists them."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real

import numpy as np

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.edges import EdgeList, check_layers, graph_of_edges
from clusterability.shown import described, quoted

DIRECTED = (
    "the graph is directed, but an n-cut needs an undirected one; make it so first, for example "
    "with networkx's to_undirected"
)


class GraphParts:
    """Collects a graph's nodes and edges, in any order, and builds it from them."""

    def __init__(self) -> None:
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

    def add_edge(self, source: Hashable, target: Hashable, weight: object = 1.0) -> None:
        """Add an edge, whose nodes may follow later.

        Raises:
            InputError: if the weight is no number.
        """
        if isinstance(weight, bool) or not isinstance(weight, Real):
            raise InputError(
                f"the edge between {quoted(source)} and {quoted(target)} has the weight "
                f"{described(weight)}, expected a number"
            )
        try:
            self._edges.append((source, target, float(weight)))
        except OverflowError:
            self._edges.append((source, target, float("inf")))

    def graph(self) -> NeuronGraph:
        """Return the graph of all added nodes and edges.

        Raises:
            InputError: if an edge names an unknown node, only some nodes have a layer, or
                :func:`graph_of_edges` refuses the graph.
        """
        index = {node: i for i, node in enumerate(self._layers)}
        ends = np.empty((2, len(self._edges)), np.int64)
        for i, edge in enumerate(self._edges):
            for side, node in enumerate(edge[:2]):
                if node not in index:
                    raise InputError(f"an edge names the node {quoted(node)}, which is not listed")
                ends[side, i] = index[node]
        weights = np.array([edge[2] for edge in self._edges], dtype=np.float64)
        return graph_of_edges(EdgeList(list(index), ends[0], ends[1], weights, self._of_nodes()))

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
