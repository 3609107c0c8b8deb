"""A graph as one flat array and a table of its blocks, for loops compiled by numba."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.compiling import compiled
from clusterability.graph.graph import NeuronGraph


@dataclass(frozen=True, eq=False)
class PackedGraph:
    """One graph on the CPU.

    Attributes:
        strengths: (n_strengths,) float32, block after block, row by row.
        table: (n_blocks, 5): first neuron and number of neurons of the source layer, the same two
            for the target layer, and the position of the block in ``strengths``.
        touching: (2 n_blocks,) the ends of blocks that touch the first layer, then the second, ...
            Block b has two ends: 2 b, its rows, touches its source layer, and 2 b + 1, its columns,
            its target layer. Both ends of a block within one layer touch that layer.
        touching_offsets: (n_layers + 1,) index in ``touching`` of each layer's first end.
        offsets: (n_layers + 1,) first neuron of each layer, and the number of neurons.
    """

    strengths: NDArray[np.float32]
    table: NDArray[np.int64]
    touching: NDArray[np.int64]
    touching_offsets: NDArray[np.int64]
    offsets: NDArray[np.int64]


def pack(graph: NeuronGraph) -> PackedGraph:
    """Pack one graph. Strengths that already lie flat, as in a shuffle, are not copied.

    Raises:
        InputError: if ``graph`` is a batch.
    """
    graph.check_single()
    sizes = graph.layer_sizes
    rows, position = [], 0
    for block in graph.blocks:
        s, t = block.source, block.target
        rows.append((graph.offsets[s], sizes[s], graph.offsets[t], sizes[t], position))
        position += sizes[s] * sizes[t]
    pairs = sorted(
        (layer, 2 * i + side)
        for i, block in enumerate(graph.blocks)
        for side, layer in enumerate((block.source, block.target))
    )
    layers = [layer for layer, _ in pairs]
    flat = graph.flat_strengths().detach().to("cpu", torch.float32).contiguous()
    return PackedGraph(
        flat.numpy(),
        np.array(rows, np.int64).reshape(-1, 5),
        np.array([end for _, end in pairs], np.int64),
        np.searchsorted(layers, np.arange(len(sizes) + 1)).astype(np.int64),
        np.array(graph.offsets, np.int64),
    )


def count_components(packed: PackedGraph) -> int:
    """Return the number of connected components, isolated neurons not counted."""
    blocks = (packed.touching, packed.touching_offsets)
    return int(_count_components(packed.strengths, packed.table, *blocks, packed.offsets))


@compiled()
def _count_components(strengths, table, touching, touching_offsets, offsets):  # type: ignore[no-untyped-def]
    n = offsets[-1]
    seen, queue, components = np.zeros(n, np.bool_), np.empty(n, np.int64), 0
    layer_of, n_left = np.empty(n, np.int64), np.empty(offsets.size - 1, np.int64)
    for layer in range(offsets.size - 1):
        layer_of[offsets[layer] : offsets[layer + 1]] = layer
        n_left[layer] = offsets[layer + 1] - offsets[layer]
    # The search ends when every neuron is found, usually long before every strength is read.
    n_found = 0
    for start in range(n):
        if n_found == n:
            break
        if seen[start]:
            continue
        seen[start] = True
        n_found += 1
        n_left[layer_of[start]] -= 1
        queue[0], head, tail = start, 0, 1
        while head < tail and n_found < n:
            neuron = queue[head]
            head += 1
            layer = layer_of[neuron]
            for end in touching[touching_offsets[layer] : touching_offsets[layer + 1]]:
                first, count, position, step = span(table, end, neuron)
                if count == 0 or n_left[layer_of[first]] == 0:
                    continue
                for k in range(count):
                    if not seen[first + k] and strengths[position + k * step] > 0:
                        seen[first + k] = True
                        n_found += 1
                        n_left[layer_of[first]] -= 1
                        queue[tail] = first + k
                        tail += 1
        components += tail > 1
    return components


@compiled()
def span(table, end, neuron):  # type: ignore[no-untyped-def]
    """Locate a neuron's strengths in a block: first neighbor, count, first position, step."""
    s_first, s_count, t_first, t_count, position = table[end // 2]
    if end % 2 == 0:
        return t_first, t_count, position + (neuron - s_first) * t_count, 1
    return s_first, s_count, position + (neuron - t_first), t_count
