"""Null models: graphs with the same strengths in each block, joined at random.

A :data:`NullModel` is a function ``(graph, rng) -> graph``, found by its name in :data:`NULLS`. Its
argument must lie flat on the CPU in float32. For an MLP it does not matter whether weights or their
absolute values are shuffled; for a CNN the paper shuffles the channel x channel strengths (section
1.2).

>>> from clusterability import toy
>>> null: NullModel = shuffle_layer
>>> null(toy.star(), np.random.default_rng(0)).degrees()
tensor([6., 1., 1., 1., 1., 1., 1.])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.graph import NeuronGraph
from clusterability.graph.blocks import Block
from clusterability.graph.sparse import SPARSE
from clusterability.nulls.permutation import nonzero_values, permute, scatter
from clusterability.nulls.ties import block_generators, copies_by_kernel
from clusterability.registries import NULLS as NULLS

NullModel = Callable[[NeuronGraph, np.random.Generator], NeuronGraph]


def shuffle_layer(graph: NeuronGraph, rng: np.random.Generator) -> NeuronGraph:
    """Permute all strengths of each block, zeros included (section 1.2 of Filan et al. 2021).

    In a block of mostly zeros, places of the other strengths are drawn: the same distribution.

    Strengths stay inside the support of a block: a grouped convolution remains grouped.

    >>> from clusterability import normalized_cut, toy
    >>> graph = toy.planted_mlp()
    >>> shuffle = shuffle_layer(graph, np.random.default_rng(0))
    >>> normalized_cut(graph, torch.arange(14) % 2), normalized_cut(shuffle, torch.arange(14) % 2)
    (tensor(0.1818, dtype=torch.float64), tensor(1.1364, dtype=torch.float64))
    """
    source = graph.flat_strengths()
    flat = torch.empty_like(source)
    before, after = (graph.with_flat_strengths(strengths).blocks for strengths in (source, flat))
    n_copies = Counter(block.kernel for block in before)
    for old, new, generator in zip(before, after, block_generators(graph, rng), strict=True):
        values, out = (block.strengths.view(-1).numpy() for block in (old, new))
        is_copied = old.kernel is not None and n_copies[old.kernel] > 1
        few = None if is_copied or old.support is not None else _few_nonzero(values)
        if few is not None:
            scatter(few, generator, out)
        elif old.support is None:
            permute(values, generator, out)
        else:
            inside = old.support.view(-1).numpy()
            out.fill(0)
            out[inside] = permute(values[inside], generator)
    return graph.with_flat_strengths(flat)


def _few_nonzero(values: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the values that are not 0 if it takes less time to draw their places than to permute.

    Copies of a kernel are always permuted, since one may have zeros where another has none.
    """
    return nonzero_values(values, int(SPARSE * values.size)) if values.size < 2**32 else None


def shuffle_nonzero(graph: NeuronGraph, rng: np.random.Generator) -> NeuronGraph:
    """Permute the non-zero strengths of each block among their places (appendix A.6).

    Copies of a kernel may have zeros at different places, if they are scaled differently. Strengths
    then trade places only where the same copies are zero: one permutation serves all copies, and
    each copy keeps its zeros.

    Raises:
        InputError: if copies of a kernel differ in shape or in support.

    >>> from clusterability import normalized_cut, toy
    >>> shuffle = shuffle_nonzero(toy.chain_with_isolated(), np.random.default_rng(0))
    >>> normalized_cut(shuffle, torch.tensor([0, 1, 0, 1, -1, 0, 1]))
    tensor(0.6167, dtype=torch.float64)
    """
    places = {kernel: _group_places(copies) for kernel, copies in copies_by_kernel(graph).items()}
    flat = graph.flat_strengths().clone()
    blocks = graph.with_flat_strengths(flat).blocks
    for block, generator in zip(blocks, block_generators(graph, rng), strict=True):
        strengths = block.strengths.view(-1).numpy()
        kinds = [np.flatnonzero(strengths)] if block.kernel is None else places[block.kernel]
        for alike in kinds:
            strengths[alike] = permute(strengths[alike], generator)
    return graph.with_flat_strengths(flat)


def _group_places(copies: Sequence[Block]) -> list[NDArray[np.int64]]:
    """Group the places of a block by the copies in which they are zero; omit those zero in all."""
    zeros = [copy.strengths.reshape(-1).numpy() == 0 for copy in copies]
    if all(np.array_equal(zero, zeros[0]) for zero in zeros[1:]):
        return [np.flatnonzero(~zeros[0])]
    kinds = np.zeros(zeros[0].size, np.int64)
    for zero in zeros:  # numbered anew each time, so that many copies do not overflow
        kinds = np.unique(2 * kinds + zero, return_inverse=True)[1]
    kinds[np.logical_and.reduce(zeros)] = -1
    order = np.argsort(kinds, kind="stable")[np.count_nonzero(kinds < 0) :]
    return np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1)
