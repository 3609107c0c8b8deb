"""Removal of the neurons of a graph that have no connection."""

from __future__ import annotations

from dataclasses import replace

import torch

from clusterability.graph import NeuronGraph


def without_isolated(graph: NeuronGraph) -> NeuronGraph:
    """Return the graph of the neurons with any connection.

    The published null drops isolated neurons *before* it shuffles. That test is not exact: the
    empty rows and columns of the observed network then shape its shuffles.

    Raises:
        InputError: if ``graph`` is a batch.
    """
    graph.check_single()
    alive = graph.degrees() > 0
    if bool(alive.all()):
        return graph
    kept = torch.split(alive, graph.layer_sizes)
    layers = tuple(layer.part(part) for layer, part in zip(graph.layers, kept, strict=True))
    blocks = tuple(
        replace(
            b,
            strengths=b.strengths[kept[b.source]][:, kept[b.target]],
            support=None if b.support is None else b.support[kept[b.source]][:, kept[b.target]],
        )
        for b in graph.blocks
    )
    shared = None if graph.shared_scale is None else graph.shared_scale[alive.cpu()]
    kept_graph = NeuronGraph(layers, blocks, shared_scale=shared)
    return kept_graph.with_flat_strengths(kept_graph.flat_strengths())
