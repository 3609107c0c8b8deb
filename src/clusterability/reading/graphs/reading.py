"""Recognizes files and objects that are graphs, and picks the reader for each."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, check_weights_follow, explain_damage
from clusterability.files.memory import check_fits
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.graphml import read_graphml
from clusterability.reading.graphs.matrices import graph_from_sparse, is_matrix_file, read_matrix
from clusterability.reading.graphs.nodelink import graph_from_networkx, read_node_link
from clusterability.shown import quoted, show_path

TEXT_EXPANSION = 15
"""Ratio of the memory that nodes and edges take while they are read to the size of their text."""


def is_graph_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a graph, not weights: .graphml, .json, or .npz with a sparse matrix.

    An index of sharded weights (``.index.json``) is no graph.
    """
    name = Path(path).name.lower()
    if name.endswith(".npz"):
        return is_matrix_file(Path(path))
    return name.endswith((".graphml", ".json")) and not name.endswith(".index.json")


def read_graph(path: str | os.PathLike[str], edge_weight: str | None = None) -> NeuronGraph:
    """Return the graph in a file: SciPy's .npz, GraphML, or node-link JSON (.json).

    Nodes with a layer each (attribute ``layer``, in .npz an array ``layers``) are numbered layer
    by layer, in the order of the file within a layer; the others make one layer ``nodes``. Edges
    without ``weight`` have weight 1. The file is data: nothing in it is run.

    Args:
        path: of the file.
        edge_weight: the attribute of edges that is their weight, in place of ``weight``.

    Raises:
        InputError: if the file cannot be read, or holds no weighted undirected graph.
    """
    path = Path(path)
    head = check_readable(path)
    if not head.startswith(b"<?xml"):
        check_weights_follow(path, head)
    try:
        with explain_damage(path):
            return _read_as(path, edge_weight)
    except InputError as error:
        said = str(error)
        raise (
            error if show_path(path) in said else InputError(f"{show_path(path)}: {said}")
        ) from None


def is_foreign_graph(network: object) -> bool:
    """Whether an object is a SciPy sparse matrix or a networkx graph."""
    return _is_sparse_matrix(network) or _is_networkx_graph(network)


def read_foreign_graph(network: Any, edge_weight: str | None = None) -> NeuronGraph:
    """Return the graph of a SciPy sparse matrix or a networkx graph.

    Args:
        network: the matrix or graph.
        edge_weight: the attribute of a networkx graph's edges that is their weight, in place of
            ``weight``.

    Raises:
        InputError: if the graph cannot be measured.
    """
    if _is_networkx_graph(network):
        return graph_from_networkx(network, edge_weight)
    _check_no_attribute(edge_weight)
    return graph_from_sparse(network)


def _is_sparse_matrix(network: object) -> bool:
    sparse = sys.modules.get("scipy.sparse")  # imported already if the object is such a matrix
    return sparse is not None and sparse.issparse(network)


def _is_networkx_graph(network: object) -> bool:
    networkx = sys.modules.get("networkx")
    return networkx is not None and isinstance(network, networkx.Graph)


def _check_no_attribute(edge_weight: str | None) -> None:
    if edge_weight is not None:
        raise InputError(
            "edge_weight names an attribute of edges, but a sparse matrix holds weights alone; "
            "leave it out"
        )


def _read_as(path: Path, edge_weight: str | None) -> NeuronGraph:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        _check_no_attribute(edge_weight)
        return read_matrix(path)
    if suffix not in (".graphml", ".json"):
        raise InputError(f"the suffix is {quoted(suffix)}, expected .npz, .graphml or .json")
    check_fits(show_path(path), TEXT_EXPANSION * path.stat().st_size)
    read = read_graphml if suffix == ".graphml" else read_node_link
    return read(path, edge_weight)
