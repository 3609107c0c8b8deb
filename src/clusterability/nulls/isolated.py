"""Neurons without any connection, left out of a graph."""

from __future__ import annotations

from dataclasses import replace

import torch

from clusterability.graph import Layer, NeuronGraph


def without_isolated(graph: NeuronGraph) -> NeuronGraph:
    """The graph of the neurons with any connection.

    The published null drops isolated neurons *before* it shuffles. That is not exact: it tells the
    shuffles which rows and columns the observed network left empty.

    Raises:
        InputError: if it is a batch of graphs.
    """
    graph.check_single()
    alive = graph.degrees() > 0
    if bool(alive.all()):
        return graph
    kept = torch.split(alive, graph.layer_sizes)
    layers = tuple(
        Layer(layer.name, int(part.sum())) for layer, part in zip(graph.layers, kept, strict=True)
    )
    blocks = tuple(
        replace(
            b,
            strengths=b.strengths[kept[b.source]][:, kept[b.target]],
            support=None if b.support is None else b.support[kept[b.source]][:, kept[b.target]],
        )
        for b in graph.blocks
    )
    kept_graph = NeuronGraph(layers, blocks)
    return kept_graph.with_flat_strengths(kept_graph.flat_strengths())
