"""Readers of weighted undirected graphs, from files or other libraries, as ``NeuronGraph``."""

from clusterability.reading.graphs.matrices import graph_from_sparse
from clusterability.reading.graphs.nodelink import graph_from_networkx
from clusterability.reading.graphs.reading import (
    is_foreign_graph,
    is_graph_file,
    read_foreign_graph,
    read_graph,
)

__all__ = [
    "graph_from_networkx",
    "graph_from_sparse",
    "is_foreign_graph",
    "is_graph_file",
    "read_foreign_graph",
    "read_graph",
]
