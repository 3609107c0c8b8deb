"""Random numbers for the copies of a block that skip connections make.

A ``tied`` shuffle permutes all copies of a kernel alike, so that they remain copies. The published
null model shuffles every copy by itself (``independent``), which rejects true nulls too often.
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
    """Yield for each block in turn the generator with which a null model shuffles it.

    The generator is ``rng`` itself, except for a block with the ``kernel`` of an earlier block: its
    generator repeats the earlier block's random numbers, and so gives the same permutation.
    Without copies, ``rng`` serves block after block.

    Args:
        graph: blocks of the same ``kernel`` are copies; :func:`untie` removes these names.
        rng: the caller must not use it otherwise until the last block is shuffled.

    Raises:
        InputError: if copies of a kernel differ in shape or support, or ``graph`` is a batch.

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


def untie(graph: NeuronGraph) -> NeuronGraph:
    """Return the graph without the names of kernels, so that each block is shuffled by itself.

    Where hidden neurons are rescaled, each has a factor of its own.
    """
    if graph.shared_scale is not None:
        own = torch.arange(graph.n_neurons)
        graph = replace(graph, shared_scale=torch.where(graph.shared_scale < 0, -1, own))
    if all(block.kernel is None for block in graph.blocks):
        return graph
    return replace(graph, blocks=tuple(replace(block, kernel=None) for block in graph.blocks))


def copies_by_kernel(graph: NeuronGraph) -> dict[str, list[Block]]:
    """Return the blocks of each kernel by its name; blocks without a kernel are left out.

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
        InputError: if they do; the message names the kernel and the remedy.
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
