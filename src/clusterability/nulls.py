"""Null models: graphs with the same strengths in each block, joined at random.

A null model is a function ``(graph, rng) -> graph``, found by its name in :data:`NULLS`. For an
MLP, shuffling the weights and taking absolute values commute; for a CNN the paper shuffles the
channel x channel strengths (section 1.2). The observed graph must already lie flat on the CPU in
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.blocks import Block
from clusterability.compiling import compiled
from clusterability.graph import Layer, NeuronGraph
from clusterability.registries import NULLS as NULLS
from clusterability.ties import block_generators, copies_by_kernel

NullModel = Callable[[NeuronGraph, np.random.Generator], NeuronGraph]

_CHUNK = 2**16  # random numbers drawn at a time: 256 KB
_CACHED = 2**20  # values that a processor's cache holds: 4 MB


def shuffle_layer(graph: NeuronGraph, rng: np.random.Generator) -> NeuronGraph:
    """Permute all strengths of each block, zeros included (section 1.2 of Filan et al. 2021).

    Where a block has a support they stay inside it: a grouped convolution remains one.
    """
    source = graph.flat_strengths()
    flat = torch.empty_like(source)
    before, after = (graph.with_flat_strengths(strengths).blocks for strengths in (source, flat))
    for old, new, generator in zip(before, after, block_generators(graph, rng), strict=True):
        values, out = (block.strengths.view(-1).numpy() for block in (old, new))
        if old.support is None:
            permuted(values, generator, out)
        else:
            inside = old.support.view(-1).numpy()
            out.fill(0)
            out[inside] = permuted(values[inside], generator)
    return graph.with_flat_strengths(flat)


def shuffle_nonzero(graph: NeuronGraph, rng: np.random.Generator) -> NeuronGraph:
    """Permute the non-zero strengths of each block among their places (appendix A.6).

    Where copies of a kernel have zeros at different places, as scales on the way can make them,
    strengths change places only with those that are zero in the same copies: so one permutation
    serves all copies, and each keeps its zeros.

    Raises:
        InputError: if copies of a kernel differ in shape or in support.
    """
    places = {kernel: _alike(copies) for kernel, copies in copies_by_kernel(graph).items()}
    flat = graph.flat_strengths().clone()
    blocks = graph.with_flat_strengths(flat).blocks
    for block, generator in zip(blocks, block_generators(graph, rng), strict=True):
        strengths = block.strengths.view(-1).numpy()
        kinds = [np.flatnonzero(strengths)] if block.kernel is None else places[block.kernel]
        for alike in kinds:
            strengths[alike] = permuted(strengths[alike], generator)
    return graph.with_flat_strengths(flat)


def _alike(copies: Sequence[Block]) -> list[NDArray[np.int64]]:
    """Return places in a block that are zero in the same copies, without those zero in all."""
    zeros = [copy.strengths.reshape(-1).numpy() == 0 for copy in copies]
    if all(np.array_equal(zero, zeros[0]) for zero in zeros[1:]):
        return [np.flatnonzero(~zeros[0])]
    kinds = np.zeros(zeros[0].size, np.int64)
    for zero in zeros:  # numbered anew each time, so that many copies do not overflow
        kinds = np.unique(2 * kinds + zero, return_inverse=True)[1]
    kinds[np.logical_and.reduce(zeros)] = -1
    order = np.argsort(kinds, kind="stable")[np.count_nonzero(kinds < 0) :]
    return np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1)


def permuted(
    values: NDArray[np.float32],
    rng: np.random.Generator,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The values in a random order, each order equally likely (Fisher and Yates).

    NumPy's own ``permutation`` takes three times as long, most of it in drawing bounded integers.
    Values that no cache holds are first dealt into buckets that one does, each value into any
    bucket alike, and each bucket is permuted (Rao 1961; Sandelius 1962).

    Args:
        values: (n,), not changed.
        rng: where randomness comes from.
        out: (n,) array for the result, not overlapping ``values``; by default a new one.
    """
    out = np.empty_like(values) if out is None else out
    if values.size <= _CACHED:
        out[:] = values
        _permute_in_place(out, rng)
        return out
    state = rng.bit_generator.state
    sizes = np.zeros(256, np.int64)
    for _, buckets in _buckets(values.size, rng):
        _count(buckets, sizes)
    rng.bit_generator.state = state  # draws the same buckets again, rather than keep them all
    places, first = np.cumsum(sizes) - sizes, 0
    for start, buckets in _buckets(values.size, rng):
        _deal(values[start : start + buckets.size], buckets, places, out)
    for end in places:
        _permute_in_place(out[first:end], rng)
        first = end
    return out


def _buckets(n: int, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """A random bucket for each of n values, piece by piece, with the place of each piece."""
    for start in range(0, n, _CACHED):
        yield start, rng.integers(0, 256, size=min(_CACHED, n - start), dtype=np.uint8)


def _permute_in_place(values: NDArray[np.float32], rng: np.random.Generator) -> None:
    end = values.size
    while end > 1:
        pairs = rng.integers(0, 2**64, size=min(_CHUNK, end) // 2 + 1, dtype=np.uint64)
        end = _swap(values, pairs.view(np.uint32), end)


@compiled()
def _count(buckets, sizes):  # type: ignore[no-untyped-def]
    for bucket in buckets:
        sizes[bucket] += 1


@compiled()
def _deal(values, buckets, places, out):  # type: ignore[no-untyped-def]
    """Put each value into the next place of its bucket."""
    for i in range(values.size):
        out[places[buckets[i]]] = values[i]
        places[buckets[i]] += 1


@compiled()
def _swap(values, draws, end):  # type: ignore[no-untyped-def]
    """Place the last of ``end`` values until the draws are used up; returns how many are left.

    A draw becomes an index by a product's upper half; those that would favor an index are skipped
    (Lemire 2019).
    """
    low_half = np.uint64(0xFFFFFFFF)
    for draw in draws:
        product = np.uint64(draw) * np.uint64(end)
        low = product & low_half
        if low < np.uint64(end) and low < (low_half + np.uint64(1) - np.uint64(end)) % np.uint64(
            end
        ):
            continue
        other = np.int64(product >> np.uint64(32))
        end -= 1
        values[end], values[other] = values[other], values[end]
        if end == 1:
            break
    return end


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
