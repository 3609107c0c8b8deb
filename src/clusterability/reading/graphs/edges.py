"""A list of edges, and its conversion to the dense blocks of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import scipy  # scipy.sparse is loaded when it is first used
import torch
from numpy.typing import NDArray

from clusterability.errors import InputError
from clusterability.files.memory import available_memory
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.shown import described, quoted

SINGLE_LAYER = "nodes"
"""Name of the one layer of a graph without layers."""

MOST_LAYER = 2**60
"""Largest number of a layer. Python hashes larger ones modulo 2^61 - 1, many to the same place."""

EDGE_BYTES = 100
"""Memory that an edge takes while the blocks are made; between 65 and 91 bytes were measured."""

MAX_BLOCKS = 20_000
"""Most blocks of a graph. Even a tiny block costs time: a layer a node would take hours."""


@dataclass(frozen=True, eq=False)
class EdgeList:
    """A weighted undirected graph, each edge written once.

    Attributes:
        nodes: the name of each node; a range if they are only numbered.
        rows, columns: (n_edges,) int64, the two nodes that an edge joins, in either order. Edges
            that join the same nodes add up.
        weights: (n_edges,) float64.
        layers: the layer of each node, all of them strings or all whole numbers; None if the graph
            has no layers.
    """

    nodes: Sequence[object]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float64]
    layers: Sequence[str | int] | None = None

    def edge_name(self, edge: int) -> str:
        source, target = self.nodes[self.rows[edge]], self.nodes[self.columns[edge]]
        return f"the edge between {quoted(source)} and {quoted(target)}"


def graph_of_edges(edges: EdgeList) -> NeuronGraph:
    """Return the graph with a block for each two joined layers, and each layer with edges inside.

    Layers given as numbers come in ascending order, others in order of first appearance; nodes keep
    their order within a layer. Weights are float32 if it holds all of them exactly, else float64.

    Raises:
        InputError: if a weight is negative, NaN or infinite, an edge joins a node to itself, there
            are no nodes or no edges of positive weight, or the blocks do not fit into memory.
    """
    if not len(edges.nodes):
        raise InputError("the graph has no nodes, so there is nothing to cluster")
    n_edges, itemsize = len(edges.weights), _dtype(edges.weights).itemsize
    check_size(len(edges.nodes), n_edges, edges.layers is not None, itemsize)
    _check_edges(edges)
    layers, numbers = _numbered(edges)
    ends = numbers[edges.rows], numbers[edges.columns]
    upper = _summed(np.minimum(*ends), np.maximum(*ends), edges.weights, len(edges.nodes))
    return NeuronGraph(layers, _blocks(layers, *upper))


def check_size(n_nodes: int, n_edges: int, has_layers: bool, itemsize: int = 4) -> None:
    """Refuse a graph that does not fit into memory, as far as that is known before it is read.

    Args:
        n_nodes: number of nodes.
        n_edges: number of edges, each counted once.
        has_layers: whether the nodes have layers, so that the size of the blocks shows later.
        itemsize: bytes of a strength.

    Raises:
        InputError: if the edges, while they are read, and the dense block take more than the memory
            available.
    """
    # The one block has a support, of a byte each.
    n_dense = 0 if has_layers else n_nodes**2 * (itemsize + 1)
    _check_memory(n_nodes, n_dense + EDGE_BYTES * n_edges, n_edges)


def check_layers(layers: Sequence[object]) -> list[str | int]:
    """Return layers as Python strings or integers.

    Raises:
        InputError: if one is neither, or both kinds occur.
    """
    checked: list[str | int] = []
    for layer in layers:
        if isinstance(layer, bool) or not isinstance(layer, str | Integral):
            raise InputError(
                f"a node has the layer {described(layer)}, expected a string or a whole number"
            )
        if not isinstance(layer, str) and abs(int(layer)) > MOST_LAYER:
            raise InputError(
                f"a node has the layer {described(layer)}, expected a number up to 2^60; give "
                "layers smaller numbers, or names"
            )
        checked.append(str(layer) if isinstance(layer, str) else int(layer))
    if len({type(layer) for layer in checked}) > 1:
        raise InputError(
            "layers are strings for some nodes and whole numbers for others; use one of the two"
        )
    return checked


def _check_edges(edges: EdgeList) -> None:
    weights = edges.weights
    for wrong, reason, remedy in (
        (~np.isfinite(weights), "which is not finite", "repair or remove it"),
        (weights < 0, "which is negative", "take absolute values, or leave it out"),
    ):
        if wrong.any():
            edge = int(np.argmax(wrong))
            raise InputError(
                f"{edges.edge_name(edge)} has the weight {weights[edge]:.6g}, {reason}; {remedy}"
            )
    loops = (edges.rows == edges.columns) & (weights > 0)
    if loops.any():
        node = quoted(edges.nodes[edges.rows[int(np.argmax(loops))]])
        raise InputError(
            f"node {node} is joined to itself, which no n-cut counts; remove such edges (set the "
            "diagonal of the matrix to 0)"
        )
    if not (weights > 0).any():
        raise InputError("the graph has no edges of positive weight, so there is nothing to cut")


def _numbered(edges: EdgeList) -> tuple[tuple[Layer, ...], NDArray[np.int64]]:
    """Return the layers, and each node's number when nodes are counted layer by layer."""
    layers, n_nodes, node_names = edges.layers, len(edges.nodes), _names(edges.nodes)
    if layers is None:
        return (Layer(SINGLE_LAYER, n_nodes, node_names),), np.arange(n_nodes)
    names = list(dict.fromkeys(layers))
    if all(isinstance(name, int) for name in names):
        names.sort(key=int)
    index = {name: i for i, name in enumerate(names)}
    layer_of = np.array([index[layer] for layer in layers], dtype=np.int64)
    numbers = np.empty(n_nodes, np.int64)
    order = np.argsort(layer_of, kind="stable")
    numbers[order] = np.arange(n_nodes)
    sizes = np.bincount(layer_of, minlength=len(names)).tolist()
    found = []
    for name, size, members in zip(
        names, sizes, np.split(order, np.cumsum(sizes)[:-1]), strict=True
    ):
        of_layer = None if node_names is None else tuple(node_names[i] for i in members.tolist())
        found.append(Layer(str(name), size, of_layer))
    return tuple(found), numbers


def _names(nodes: Sequence[object]) -> tuple[str, ...] | None:
    """Return the nodes' names; None if they are their own numbers."""
    if isinstance(nodes, range) or all(str(node) == str(i) for i, node in enumerate(nodes)):
        return None
    return tuple(node if isinstance(node, str) else str(node) for node in nodes)


def _summed(
    rows: NDArray[np.int64], columns: NDArray[np.int64], weights: NDArray[np.float64], n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the edges of positive weight, with each pair of nodes once."""
    positive = weights > 0
    coordinates = (rows[positive], columns[positive])
    matrix = scipy.sparse.coo_array((weights[positive], coordinates), shape=(n_nodes, n_nodes))
    matrix.sum_duplicates()
    first, second = matrix.coords
    if not np.isfinite(matrix.data).all():
        raise InputError("weights of edges that join the same nodes overflow; scale them down")
    return first.astype(np.int64), second.astype(np.int64), matrix.data


def _blocks(
    layers: tuple[Layer, ...],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> tuple[Block, ...]:
    """Return dense (n_source, n_target) blocks of edges whose row is the lower number."""
    starts = np.cumsum([0, *(layer.n_neurons for layer in layers)])
    source, target = (np.searchsorted(starts, ends, "right") - 1 for ends in (rows, columns))
    pairs = source * len(layers) + target
    order = np.argsort(pairs, kind="stable")
    joined, firsts = np.unique(pairs[order], return_index=True)
    dtype = _dtype(weights)
    _check_blocks(layers, joined.tolist(), dtype.itemsize)
    blocks = []
    for pair, edges in zip(joined.tolist(), np.split(order, firsts[1:]), strict=True):
        s, t = divmod(pair, len(layers))
        strengths = np.zeros((layers[s].n_neurons, layers[t].n_neurons), dtype)
        strengths[rows[edges] - starts[s], columns[edges] - starts[t]] = weights[edges]
        blocks.append(Block(s, t, torch.from_numpy(strengths)))
    return tuple(blocks)


def _dtype(weights: NDArray[np.float64]) -> np.dtype[Any]:
    with np.errstate(over="ignore", under="ignore"):
        exact = bool((weights.astype(np.float32) == weights).all())
    return np.dtype(np.float32 if exact else np.float64)


def _check_blocks(layers: tuple[Layer, ...], pairs: Sequence[int], itemsize: int) -> None:
    if len(pairs) > MAX_BLOCKS:
        raise InputError(
            f"the graph's {len(layers):,} layers make {len(pairs):,} blocks, more than the "
            f"{MAX_BLOCKS:,} that can be measured; give it fewer layers, or none"
        )
    n_bytes = 0
    for pair in pairs:
        s, t = divmod(pair, len(layers))
        # A block within one layer has a support, of a byte each.
        n_bytes += layers[s].n_neurons * layers[t].n_neurons * (itemsize + (s == t))
    _check_memory(sum(layer.n_neurons for layer in layers), n_bytes)


def _check_memory(n_nodes: int, n_bytes: int, n_edges: int = 0) -> None:
    available = available_memory()
    if available is not None and n_bytes > available:
        edges = f", while its {n_edges:,} edges are read" if n_edges else ""
        raise InputError(
            f"the graph's {n_nodes:,} nodes take {n_bytes / 1e9:,.1f} GB as dense blocks{edges}, "
            f"more than the {available / 1e9:,.1f} GB of memory available; measure a part of it"
        )
