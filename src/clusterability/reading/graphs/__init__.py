"""Any weighted undirected graph, from a file or from another library, as a ``NeuronGraph``."""

from clusterability.reading.graphs.matrices import graph_from_sparse
from clusterability.reading.graphs.nodelink import graph_from_networkx
from clusterability.reading.graphs.reading import foreign_graph, is_graph_file, read_graph

__all__ = [
    "foreign_graph",
    "graph_from_networkx",
    "graph_from_sparse",
    "is_graph_file",
    "read_graph",
]
