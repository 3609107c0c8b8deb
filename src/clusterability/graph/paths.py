"""Paths from inputs to outputs that stay inside a cluster."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clusterability.compiling import compiled
from clusterability.graph.graph import NeuronGraph
from clusterability.graph.packed import pack, span


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
    packed = pack(graph)
    starts = np.zeros(graph.n_neurons, np.bool_)
    for i in inputs:
        starts[graph.offsets[i] : graph.offsets[i + 1]] = True
    own = labels.detach().cpu().numpy().astype(np.int64)
    ends = (packed.touching, packed.touching_offsets, packed.offsets)
    reached = _reached(packed.strengths, packed.table, *ends, starts, own)
    found = torch.zeros(n_clusters, dtype=torch.bool)
    for i in outputs:
        part = slice(graph.offsets[i], graph.offsets[i + 1])
        found[torch.from_numpy(own[part][reached[part]])] = True
    return found


@compiled()
def _reached(strengths, table, touching, touching_offsets, offsets, starts, labels):  # type: ignore[no-untyped-def]
    """Return which neurons are reached from the starts by neurons of one label, (n_neurons,)."""
    n = labels.size
    reached, queue, n_queued = np.zeros(n, np.bool_), np.empty(n, np.int64), 0
    layer_of, n_left = np.empty(n, np.int64), np.zeros(offsets.size - 1, np.int64)
    for layer in range(offsets.size - 1):
        for neuron in range(offsets[layer], offsets[layer + 1]):
            layer_of[neuron] = layer
            if starts[neuron] and labels[neuron] >= 0:
                reached[neuron] = True
                queue[n_queued] = neuron
                n_queued += 1
            else:
                n_left[layer] += labels[neuron] >= 0
    head = 0
    while head < n_queued:
        neuron = queue[head]
        head += 1
        layer, label = layer_of[neuron], labels[neuron]
        for end in touching[touching_offsets[layer] : touching_offsets[layer + 1]]:
            first, count, position, _ = span(table, end, neuron)
            # Only the rows of a block lead on, and only to layers that are not reached as a whole.
            if end % 2 or count == 0 or n_left[layer_of[first]] == 0:
                continue
            for k in range(count):
                other = first + k
                if labels[other] == label and not reached[other] and strengths[position + k] > 0:
                    reached[other] = True
                    n_left[layer_of[other]] -= 1
                    queue[n_queued] = other
                    n_queued += 1
    return reached
