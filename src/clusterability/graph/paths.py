"""Paths from inputs to outputs that stay inside a cluster."""

from __future__ import annotations

import torch
from torch import Tensor

from clusterability.graph.graph import NeuronGraph


@torch.no_grad()
def clusters_with_path(graph: NeuronGraph, labels: Tensor, n_clusters: int) -> Tensor | None:
    """Return which clusters hold a path from an input to an output inside themselves.

    Inputs are the neurons of layers to which no block leads, outputs those of layers from which
    none does.

    Args:
        graph: one graph.
        labels: (n_neurons,) integers below ``n_clusters``; negative for neurons in no cluster.
        n_clusters: number of clusters.

    Returns:
        (n_clusters,) bool; None if the graph has no inputs or no outputs.

    >>> from clusterability import toy
    >>> graph = toy.planted_mlp((2, 2, 2), between=0.0)
    >>> clusters_with_path(graph, torch.tensor([0, 1, 0, 1, 0, 1]), 2)
    tensor([True, True])
    >>> clusters_with_path(graph, torch.tensor([0, 1, 1, 1, 0, 1]), 2)
    tensor([False,  True])
    """
    sources = {block.source for block in graph.blocks}
    targets = {block.target for block in graph.blocks}
    inputs, outputs = sources - targets, targets - sources
    if not inputs or not outputs:
        return None
    of_layers = torch.split(labels.to(graph.device), graph.layer_sizes)
    reached = [held >= 0 if i in inputs else held < -1 for i, held in enumerate(of_layers)]
    members = [
        torch.nn.functional.one_hot(held.clamp_min(0).long(), n_clusters).float()
        for held in of_layers
    ]
    for _ in graph.layers:
        before = sum(int(part.sum()) for part in reached)
        for block in graph.blocks:
            given = members[block.source] * reached[block.source][:, None]
            arrived = (block.strengths > 0).float().mT @ given  # (n_target, n_clusters)
            inside = (arrived * members[block.target]).sum(1) > 0
            reached[block.target] |= inside & (of_layers[block.target] >= 0)
        if sum(int(part.sum()) for part in reached) == before:
            break
    found = torch.zeros(n_clusters, dtype=torch.bool)
    for i in outputs:
        found[of_layers[i][reached[i]].cpu().long()] = True
    return found
