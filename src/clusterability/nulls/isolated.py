"""Removal of the neurons of a graph that have no connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clusterability.graph import NeuronGraph, Part


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
    layers = tuple(layer.select(part) for layer, part in zip(graph.layers, kept, strict=True))
    targets = {b.kernel: kept[b.target] for b in reversed(graph.blocks) if b.kernel is not None}
    blocks = tuple(
        replace(
            b,
            strengths=b.strengths[kept[b.source]][:, kept[b.target]],
            support=None if b.support is None else b.support[kept[b.source]][:, kept[b.target]],
            part=None if b.part is None else _part_of_kept(b.part, kept[b.target], targets),
        )
        for b in graph.blocks
    )
    shared = None if graph.shared_scale is None else graph.shared_scale[alive.cpu()]
    kept_graph = NeuronGraph(layers, blocks, shared_scale=shared)
    return kept_graph.with_flat_strengths(kept_graph.flat_strengths())


def _part_of_kept(part: Part, kept: Tensor, targets: Mapping[str, Tensor]) -> Part | None:
    """Return where the columns that are kept stand in what is kept of the whole.

    Args:
        part: of all columns.
        kept: (n_target,) bool.
        targets: the same of each whole, by its kernel.
    """
    of_whole = targets.get(part.kernel)
    if of_whole is None:
        return None
    numbers = torch.where(of_whole, of_whole.cumsum(0) - 1, -1)
    columns = part.columns[kept]
    return Part(part.kernel, torch.where(columns < 0, -1, numbers[columns]))
