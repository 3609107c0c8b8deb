"""Conversions of a graph to SciPy and networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy  # scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from clusterability.errors import InputError

if TYPE_CHECKING:
    import networkx

    from clusterability.graph.graph import NeuronGraph


def to_scipy(graph: NeuronGraph) -> scipy.sparse.csr_array:
    """Return the adjacency matrix A, (n_neurons, n_neurons), float64, zeros not stored.

    Isolated neurons keep their empty row and column. Blocks that join the same layers add up.

    Raises:
        InputError: if ``graph`` is a batch.

    >>> import torch
    >>> from clusterability.graph import NeuronGraph
    >>> to_scipy(NeuronGraph.chain([torch.tensor([[1.0, 0.0], [2.0, 3.0]])])).toarray()
    array([[0., 0., 1., 0.],
           [0., 0., 2., 3.],
           [1., 2., 0., 0.],
           [0., 3., 0., 0.]])
    """
    upper = _above_diagonal(graph)
    # The transpose is added last, so that A is exactly symmetric however the blocks round.
    return scipy.sparse.csr_array(upper + upper.T)


def to_networkx(graph: NeuronGraph) -> networkx.Graph:
    """Return a networkx graph: nodes 0..N-1 with ``layer``, a name, and edges with ``weight``.

    Nodes have an attribute ``name`` too where the neurons of their layer have names.

    Raises:
        InputError: if networkx is not installed, or ``graph`` is a batch.
    """
    try:
        import networkx
    except ImportError:
        raise InputError(
            "to_networkx needs the package networkx, which is missing; run pip install networkx"
        ) from None
    drawn = networkx.Graph()
    for layer, start in zip(graph.layers, graph.offsets, strict=False):
        drawn.add_nodes_from(range(start, start + layer.n_neurons), layer=layer.name)
        for node, name in enumerate(layer.neurons or (), start):
            drawn.nodes[node]["name"] = name
    upper = _above_diagonal(graph).tocoo()
    rows, columns = upper.coords
    edges = zip(rows.tolist(), columns.tolist(), upper.data.tolist(), strict=True)
    drawn.add_weighted_edges_from(edges)
    return drawn


def _above_diagonal(graph: NeuronGraph) -> scipy.sparse.csr_array:
    graph.check_single()
    rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    columns: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    strengths: list[NDArray[np.float64]] = [np.zeros(0)]
    for block in graph.blocks:
        values = block.strengths.detach()
        source, target = values.nonzero(as_tuple=True)
        first = source.cpu().numpy() + graph.offsets[block.source]
        second = target.cpu().numpy() + graph.offsets[block.target]
        rows.append(np.minimum(first, second))
        columns.append(np.maximum(first, second))
        strengths.append(values[source, target].cpu().double().numpy())
    coordinates = (np.concatenate(rows), np.concatenate(columns))
    shape = (graph.n_neurons, graph.n_neurons)
    # The compressed form sums repeated coordinates.
    return scipy.sparse.csr_array(
        scipy.sparse.coo_array((np.concatenate(strengths), coordinates), shape=shape)
    )
