"""Graphs from GraphML, read as a stream by Python's own parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.reading.graphs.parts import DIRECTED, WEIGHT, GraphParts
from clusterability.shown import quoted, shown

MAX_DEPTH = 100
"""Deepest nesting of elements that is read: graphs need five levels."""

_NUMBERS = ("int", "long", "float", "double")


def read_graphml(path: Path, edge_weight: str | None = None) -> NeuronGraph:
    """Return the graph in a GraphML file, by ``layer`` of nodes and the weight of edges alone.

    Document type declarations are refused: their entities can grow to any size.

    Args:
        path: of the file.
        edge_weight: the attribute of edges that is their weight; by default ``weight``.

    Raises:
        InputError: if it is no GraphML, or the graph is directed, nested or cannot be measured, or
            no edge has the weight but other numbers.
    """
    reader = _Reader(edge_weight)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    with path.open("rb") as file:
        parser.ParseFile(file)
    if not reader.n_graphs:
        raise InputError("the GraphML holds no graph")
    return reader.parts.graph()


def _refuse_doctype(*_: object) -> NoReturn:
    raise InputError("the GraphML has a document type declaration, which is not read; remove it")


@dataclass
class _Key:
    """A declared attribute that is read: ``layer`` of nodes, the weight or a number of edges."""

    name: str
    kind: str
    default: str | None = None


class _Reader:
    """Collects nodes and edges from the parser's events; keeps the current element, and no tree."""

    def __init__(self, edge_weight: str | None) -> None:
        self.parts = GraphParts(edge_weight)
        self._weight = edge_weight or WEIGHT
        self.n_graphs = 0
        self._open: list[str] = []
        self._keys: dict[tuple[str, str], _Key] = {}
        self._declared: list[_Key] = []
        self._element: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._data: str | None = None
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(" ")[2]
        if not self._open and tag != "graphml":
            raise InputError(f"the file begins with {quoted(tag)}, expected graphml")
        self._open.append(tag)
        if len(self._open) > MAX_DEPTH:
            raise InputError(f"the GraphML nests elements more than {MAX_DEPTH} deep")
        path = "/".join(self._open[1:])
        if path == "key":
            self._declare(attributes)
        elif path == "key/default":
            self._text = []
        elif tag == "graph":
            self._begin_graph(attributes)
        elif tag == "hyperedge":
            raise InputError("the GraphML has hyperedges; expected edges between two nodes")
        elif path in ("graph/node", "graph/edge"):
            self._element, self._values = attributes, {}
        elif path in ("graph/node/data", "graph/edge/data"):
            self._data, self._text = attributes.get("key"), []

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _: str) -> None:
        path = "/".join(self._open[1:])
        self._open.pop()
        if path == "key/default":
            for key in self._declared:
                key.default = "".join(self._text)
        elif path in ("graph/node/data", "graph/edge/data") and self._data is not None:
            self._values[self._data] = "".join(self._text)
        elif path == "graph/node":
            self.parts.add_node(self._attribute("id"), self._read("node").get("layer"))
        elif path == "graph/edge":
            self._add_edge()

    def _declare(self, attributes: dict[str, str]) -> None:
        name, kind = attributes.get("attr.name", ""), attributes.get("attr.type", "string")
        about = attributes.get("for", "all")
        self._declared = []
        wanted = {"node": name == "layer", "edge": name == self._weight or kind in _NUMBERS}
        for owner, is_read in wanted.items():
            if is_read and about in (owner, "all"):
                key = self._keys[owner, attributes.get("id", "")] = _Key(name, kind)
                self._declared.append(key)

    def _begin_graph(self, attributes: dict[str, str]) -> None:
        self.n_graphs += 1
        if self.n_graphs > 1 or self._open != ["graphml", "graph"]:
            raise InputError("the GraphML has several or nested graphs; save one by itself")
        direction = attributes.get("edgedefault", "")
        if direction == "directed":
            raise InputError(DIRECTED)
        if direction != "undirected":
            raise InputError(f"edgedefault is {quoted(direction)}, expected 'undirected'")

    def _add_edge(self) -> None:
        if self._element.get("directed", "false") in ("true", "1"):
            raise InputError(DIRECTED)
        source, target = self._attribute("source"), self._attribute("target")
        self.parts.add_edge(source, target, self._read("edge"))

    def _attribute(self, name: str) -> str:
        if name not in self._element:
            raise InputError(f"a node or an edge of the GraphML has no {name!r}")
        return self._element[name]

    def _read(self, owner: str) -> dict[str, str | float]:
        """Return the attributes of the node or edge that has just ended.

        Of numbers of edges beside the weight it matters only that they are there.
        """
        found: dict[str, str | float] = {}
        for (of, identifier), key in self._keys.items():
            if of == owner:
                text = self._values.get(identifier, key.default)
                if text is None or key.name in found:
                    continue
                if owner == "node":
                    found[key.name] = _typed(text, key)
                else:
                    found[key.name] = _number(text, key) if key.name == self._weight else 0.0
        return found


def _typed(text: str, key: _Key) -> str | float:
    return _number(text, key, int) if key.kind in ("int", "long") else text


def _number(text: str, key: _Key, kind: Callable[[str], float] = float) -> float:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"the {shown(key.name)} {quoted(text)} is no number") from None
