"""Small graphs, awkward ones among them, and what they are held against: naive dense arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability import toy
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.toy import grouped_convolutions

Array = NDArray[np.float64]


def random_chain(
    sizes: Sequence[int],
    seed: int = 0,
    density: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> NeuronGraph:
    """A chain of absolute normal strengths, of which all but ``density`` are zero."""
    return joined(sizes, list(pairwise(range(len(sizes)))), seed, density, dtype)


def joined(
    sizes: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    seed: int = 0,
    density: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> NeuronGraph:
    """Layers of these sizes and a random block for each pair, which may be a layer with itself."""
    rng = np.random.default_rng(seed)
    blocks = []
    for source, target in pairs:
        shape = (sizes[source], sizes[target])
        kept = rng.random(shape) < density
        strengths = torch.tensor(np.abs(rng.standard_normal(shape)) * kept, dtype=dtype)
        if source == target:
            strengths = strengths.triu(1)
        blocks.append(Block(source, target, strengths))
    return NeuronGraph(tuple(Layer(f"l{i}", n) for i, n in enumerate(sizes)), tuple(blocks))


def chain_of(*blocks: object, dtype: torch.dtype = torch.float32) -> NeuronGraph:
    """A chain of the blocks written out."""
    return NeuronGraph.chain([torch.as_tensor(np.array(b), dtype=dtype) for b in blocks])


def side_by_side(n_parts: int, size: int, seed: int = 0, distinct: bool = True) -> NeuronGraph:
    """A chain of three layers that falls into parts, copies of each other unless ``distinct``."""
    rng = np.random.default_rng(seed)
    strengths = np.zeros((2, n_parts * size, n_parts * size), np.float32)
    for block in strengths:
        part = rng.random((size, size)) + 0.1
        for i in range(n_parts):
            here = slice(i * size, (i + 1) * size)
            block[here, here] = rng.random((size, size)) + 0.1 if distinct else part
    return chain_of(*strengths)


def uneven(sizes: Sequence[int], seed: int = 0) -> NeuronGraph:
    """A chain whose strengths range from 1e-12 to 1e6, each neuron having a scale of its own."""
    rng = np.random.default_rng(seed)
    scales = [10.0 ** rng.uniform(-6, 3, size) for size in sizes]
    blocks = [np.outer(s, t) * rng.uniform(0.5, 1.5, (s.size, t.size)) for s, t in pairwise(scales)]
    return chain_of(*blocks)


def low_rank(n_source: int, n_target: int, rank: int, seed: int = 0) -> NeuronGraph:
    rng = np.random.default_rng(seed)
    return chain_of(rng.random((n_source, rank)) @ rng.random((rank, n_target)))


def triangles_and_weak_neurons() -> NeuronGraph:
    """Two triangles joined by one edge; 6 and 7 hang on the first, 8 on the second, all weakly.

    In three clusters the lowest n-cut is 0.975: the triangles, the second with 8, and the pair 6, 7
    apart. In the embedding 6 and 7 lie farthest out; a cluster of one neuron alone costs 1.
    """
    strengths = torch.zeros(9, 9)
    for i, j in [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]:
        strengths[i, j] = 2
    strengths[2, 3] = 3
    strengths[0, 6], strengths[6, 7], strengths[5, 8] = 0.08, 0.03, 0.01
    return NeuronGraph((Layer("neurons", 9),), (Block(0, 0, strengths),))


TRIANGLE = [(0, 1), (1, 2), (0, 2)]


def awkward_graphs() -> dict[str, NeuronGraph]:
    """Small graphs (at most 60 neurons), each of which has broken some implementation."""
    lonely = random_chain([8, 6, 5], 3)
    strengths = [block.strengths.clone() for block in lonely.blocks]
    strengths[0][2], strengths[0][:, 4], strengths[1][4] = 0, 0, 0
    return {
        "chain": random_chain([9, 7, 8, 4]),
        "sparse": random_chain([14, 12, 13, 9], 1, density=0.12),
        "isolated": NeuronGraph.chain(strengths),
        "triangle": joined([5, 6, 4], TRIANGLE, 2),
        "sparse triangle": joined([7, 6, 8], TRIANGLE, 3, density=0.2),
        "joined twice": joined([4, 5, 3], [(0, 1), (1, 0), (0, 1), (2, 0)], 4),
        "untouched layer": joined([5, 3, 4], [(0, 2)], 5),
        "disconnected": side_by_side(3, 4, distinct=False),
        "two separate chains": joined([4, 5, 6, 3], [(0, 1), (2, 3)], 6),
        "rank one": low_rank(9, 7, 1),
        "all equal": chain_of(np.ones((6, 5)), np.ones((5, 6))),
        "path": toy.path(5),
        "star": toy.star(7),
        "matching": toy.matching(5),
        "1 x 3": chain_of([[1.0, 2.0, 3.0]]),
        "1 x 1": chain_of([[2.0]]),
        "one layer": joined([12], [(0, 0)], 9, density=0.5),
        "sparse layer": joined([15], [(0, 0)], 10, density=0.08),
        "within and between": joined([6, 5, 4], [(0, 0), (0, 1), (1, 1), (2, 1), (2, 0)], 11, 0.5),
        "within twice": joined([7, 3], [(0, 0), (0, 0), (1, 0)], 12, density=0.4),
        "grouped": grouped_convolutions(),
        "uneven": uneven([8, 7, 6]),
        "float64": random_chain([6, 7], 7, dtype=torch.float64),
        "bfloat16": random_chain([6, 7], 8, dtype=torch.bfloat16),
    }


AWKWARD = awkward_graphs()


def batch_like(graph: NeuronGraph, shape: tuple[int, ...], seed: int = 0) -> NeuronGraph:
    """A batch of graphs with the zeros of this one, and other strengths in each."""
    flat = graph.flat_strengths()
    factors = np.random.default_rng(seed).uniform(0.5, 2, (*shape, graph.n_strengths))
    return graph.with_flat_strengths(flat * torch.tensor(factors).to(flat.dtype))


def one_by_one(batch: NeuronGraph) -> list[NeuronGraph]:
    """The graphs of a batch, the last of its leading axes running fastest."""
    flat = batch.flat_strengths().reshape(-1, batch.n_strengths)
    return [batch.with_flat_strengths(row) for row in flat]


def naive_adjacency(graph: NeuronGraph) -> Array:
    """A as one dense array."""
    adjacency = np.zeros((graph.n_neurons, graph.n_neurons))
    for block in graph.blocks:
        strengths = block.strengths.detach().double().cpu().numpy()
        rows, columns = (
            slice(graph.offsets[layer], graph.offsets[layer + 1])
            for layer in (block.source, block.target)
        )
        adjacency[rows, columns] += strengths
        adjacency[columns, rows] += strengths.T
    return adjacency


def naive_ncut(adjacency: Array, labels: NDArray[np.integer], volume_offset: float = 0.0) -> float:
    """n-cut by its definition, one pair of neurons at a time."""
    total = 0.0
    n = len(labels)
    for label in {int(x) for x in labels if x >= 0}:
        volume = cut = 0.0
        for i in range(n):
            for j in range(n):
                if labels[i] == label:
                    volume += adjacency[i, j]
                    cut += adjacency[i, j] * (labels[j] != label)
        total += cut / (volume + volume_offset)
    return total


def naive_lowest_ncut(graph: NeuronGraph, n_clusters: int) -> float:
    """The lowest n-cut of all partitions of the connected neurons, each looked at."""
    adjacency = naive_adjacency(graph)
    alive = adjacency.sum(1) > 0
    adjacency = adjacency[alive][:, alive]
    lowest = np.inf
    for labels in partitions(len(adjacency), n_clusters):
        members = np.eye(n_clusters)[labels]
        inside = ((adjacency @ members) * members).sum(0)
        lowest = min(lowest, float((1 - inside / (adjacency.sum(1) @ members)).sum()))
    return lowest


def partitions(n: int, n_clusters: int) -> Iterator[list[int]]:
    """Labels of each partition of n neurons into exactly so many clusters, once."""

    def extended(labels: list[int], n_used: int) -> Iterator[list[int]]:
        if len(labels) == n:
            if n_used == n_clusters:
                yield labels
            return
        for label in range(min(n_used + 1, n_clusters)):
            yield from extended([*labels, label], max(n_used, label + 1))

    return extended([], 0)


def naive_normalized(adjacency: Array) -> Array:
    """M = D^-1/2 A D^-1/2 of the neurons that have any connection."""
    alive = adjacency.sum(1) > 0
    kept = adjacency[alive][:, alive]
    roots = np.sqrt(kept.sum(1))
    return kept / roots[:, None] / roots
