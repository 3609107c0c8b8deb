"""Copies of one kernel's block, which a skip connection makes, and random numbers for them.

Shuffling a kernel once and reusing that for all its copies (``tied``) keeps what the skip
connections make alike. The published null model shuffles every copy by itself (``independent``),
which rejects true nulls too often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.graph.blocks import Block, block_name
from clusterability.shown import shown


def block_generators(graph: NeuronGraph, rng: np.random.Generator) -> Iterator[np.random.Generator]:
    """A generator for each block in turn, with which a null model shuffles it.

    It is ``rng`` itself, except for a later block of the same ``kernel`` as an earlier one: that
    gets the random numbers of the earlier one over again, and so the same permutation. Without
    such copies the random numbers are those of one ``rng`` used for block after block.

    Args:
        graph: its blocks' ``kernel`` say which are copies; :func:`untied` takes these names away.
        rng: must be used for nothing else before the last block is done.

    Raises:
        InputError: if copies of a kernel differ in shape or in support, or it is a batch of graphs.

    >>> graph = NeuronGraph.chain([torch.ones(2, 2), torch.ones(2, 2)])
    >>> copies = NeuronGraph(graph.layers, tuple(replace(b, kernel="conv") for b in graph.blocks))
    >>> rng = np.random.default_rng(0)
    >>> first, second = (generator.random() for generator in block_generators(copies, rng))
    >>> first == second
    True
    """
    graph.check_single()
    originals: dict[str, tuple[Block, Any]] = {}
    for block in graph.blocks:
        if block.kernel is None:
            yield rng
        elif block.kernel not in originals:
            originals[block.kernel] = block, rng.bit_generator.state
            yield rng
        else:
            original, state = originals[block.kernel]
            _check_alike(original, block, graph)
            again = type(rng.bit_generator)()
            again.state = state
            yield np.random.Generator(again)


def untied(graph: NeuronGraph) -> NeuronGraph:
    """The same graph with blocks that are nobody's copies, so that each is shuffled by itself."""
    if all(block.kernel is None for block in graph.blocks):
        return graph
    return replace(graph, blocks=tuple(replace(block, kernel=None) for block in graph.blocks))


def copies_by_kernel(graph: NeuronGraph) -> dict[str, list[Block]]:
    """Return the blocks of each kernel that is named.

    Raises:
        InputError: if copies of a kernel differ in shape or in support.
    """
    copies: dict[str, list[Block]] = {}
    for block in graph.blocks:
        if block.kernel is not None:
            found = copies.setdefault(block.kernel, [])
            found.append(block)
            _check_alike(found[0], block, graph)
    return copies


def check_copies(graph: NeuronGraph, alive: Tensor) -> None:
    """Refuse to tie copies of a kernel that lose different neurons.

    Args:
        graph: the whole graph.
        alive: (n_neurons,) bool, the neurons that are kept.

    Raises:
        InputError: that names the kernel and what to do instead.
    """
    kept = torch.split(alive, graph.layer_sizes)
    for kernel, (original, *others) in copies_by_kernel(graph).items():
        for block in others:
            ends = ((original.source, block.source), (original.target, block.target))
            if not all(torch.equal(kept[one], kept[other]) for one, other in ends):
                raise InputError(
                    f"copies of the kernel '{shown(kernel)}' lose different neurons where "
                    'isolated ones are dropped, so they cannot be tied; pass isolated="drop-after" '
                    '(--isolated drop-after) or ties="independent" (--ties independent)'
                )


def _check_alike(original: Block, copy: Block, graph: NeuronGraph) -> None:
    same_support = original.support is copy.support or (
        original.support is not None
        and copy.support is not None
        and torch.equal(original.support, copy.support)
    )
    if original.strengths.shape[-2:] == copy.strengths.shape[-2:] and same_support:
        return
    one, other = (block_name(block, graph.layers) for block in (original, copy))
    raise InputError(
        f"{one} and {other} have the same kernel '{shown(copy.kernel or '')}', but another shape "
        'or support, so they cannot be tied; pass isolated="drop-after" if isolated neurons were '
        'dropped, or ties="independent"'
    )
