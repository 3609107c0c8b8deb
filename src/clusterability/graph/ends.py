"""The part of a graph without its inputs and outputs."""

from __future__ import annotations

from dataclasses import replace

from clusterability.errors import InputError
from clusterability.graph.canonical import check_directed
from clusterability.graph.graph import NeuronGraph


def only_layers(graph: NeuronGraph, layers: str) -> NeuronGraph:
    """Return the graph of some layers and the blocks between them, lying flat.

    Args:
        graph: one graph.
        layers: ``all``; ``hidden``, those that blocks lead to and from; ``hidden+outputs``, all
            those that blocks lead to.

    Raises:
        InputError: if the graph has no inputs and outputs, or no block is left.

    >>> from clusterability import toy
    >>> chain = toy.planted_mlp((8, 4, 6, 4))
    >>> [layer.n_neurons for layer in only_layers(chain, "hidden+outputs").layers]
    [4, 6, 4]
    """
    if layers == "all":
        return graph
    check_directed(graph, f"layers={layers!r}", "layers='all'")
    kept = {block.target for block in graph.blocks}
    if layers == "hidden":
        kept &= {block.source for block in graph.blocks}
    numbers = {layer: i for i, layer in enumerate(sorted(kept))}
    blocks = tuple(
        replace(block, source=numbers[block.source], target=numbers[block.target])
        for block in graph.blocks
        if {block.source, block.target} <= kept
    )
    if not blocks:
        raise InputError(
            f"layers is {layers!r}, but that leaves no two layers to join; measure a deeper "
            "network, or use layers='all'"
        )
    part = NeuronGraph(tuple(graph.layers[layer] for layer in numbers), blocks)
    return part.with_flat_strengths(part.flat_strengths())
