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
    """Return the graph whose blocks know of no other, so that each is shuffled by itself.

    Where hidden neurons are rescaled, each has a factor of its own.
    """
    if graph.shared_scale is not None:
        own = torch.arange(graph.n_neurons)
        graph = replace(graph, shared_scale=torch.where(graph.shared_scale < 0, -1, own))
    if all(block.kernel is None and block.part is None for block in graph.blocks):
        return graph
    blocks = tuple(replace(block, kernel=None, part=None) for block in graph.blocks)
    return replace(graph, blocks=blocks)


def follow_wholes(graph: NeuronGraph, shuffle: NeuronGraph) -> NeuronGraph:
    """Return a shuffle whose blocks that are parts of others are the same parts of these again.

    Columns that a whole has only zeros for, and the part has not, stay as they were drawn.

    Args:
        graph: the graph that was shuffled.
        shuffle: the shuffle, on the CPU and lying flat.

    >>> from clusterability.graph import Part
    >>> first = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> layers = NeuronGraph.chain([first, first, torch.ones(2, 1)]).layers
    >>> whole, part = Block(0, 1, first, kernel="a"), Block(0, 3, 2 * first[:, 1:])
    >>> graph = NeuronGraph(layers, (whole, replace(part, part=Part("a", torch.tensor([1])))))
    >>> shuffle = graph.with_flat_strengths(torch.tensor([4.0, 1.0, 2.0, 3.0, 8.0, 4.0]))
    >>> follow_wholes(graph, shuffle).blocks[1].strengths.tolist()
    [[2.0], [6.0]]
    """
    wholes = _wholes(graph)
    if not wholes:
        return shuffle
    flat = shuffle.flat_strengths().clone()
    blocks = shuffle.with_flat_strengths(flat).blocks
    for i, (whole, columns, ratio) in wholes.items():
        drawn = blocks[i].strengths
        drawn.copy_(torch.where(ratio.isnan(), drawn, blocks[whole].strengths[:, columns] * ratio))
    return shuffle.with_flat_strengths(flat)


def _wholes(graph: NeuronGraph) -> dict[int, tuple[int, Tensor, Tensor]]:
    """Return of each part the number of its whole, its columns there, and their scales beside it.

    A part is left out whose whole is not there. A scale is NaN where the whole's column holds only
    zeros and the part's does not, as beside a batch norm's weight of 0; where both do, it is the
    median of the others.
    """
    found = {}
    numbers = {b.kernel: i for i, b in reversed(tuple(enumerate(graph.blocks)))}
    for i, block in enumerate(graph.blocks):
        part = block.part
        number = None if part is None else numbers.get(part.kernel)
        if part is None or number is None or bool((part.columns < 0).any()):
            continue
        own = block.strengths.sum(0, dtype=torch.float64)
        whole = graph.blocks[number].strengths[:, part.columns].sum(0, dtype=torch.float64)
        known = whole > 0
        ratio = torch.where(known, own / whole, torch.nan)
        common = ratio[known].median() if bool(known.any()) else ratio.new_ones(())
        ratio = torch.where(~known & (own == 0), common, ratio)
        found[i] = number, part.columns, ratio.to(block.strengths.dtype)
    return found


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
    copies = copies_by_kernel(graph)
    for kernel, (original, *others) in copies.items():
        for block in others:
            ends = ((original.source, block.source), (original.target, block.target))
            if not all(torch.equal(kept[one], kept[other]) for one, other in ends):
                raise _lost(kernel)
    for block in graph.blocks:
        if block.part is not None and block.part.kernel in copies:
            of_whole = kept[copies[block.part.kernel][0].target][block.part.columns]
            if bool((kept[block.target] & ~of_whole).any()):
                raise _lost(block.part.kernel)


def _lost(kernel: str) -> InputError:
    return InputError(
        f"copies of the kernel '{shown(kernel)}' lose different neurons where isolated ones are "
        'dropped, so they cannot be tied; pass isolated="drop-after" (--isolated drop-after) or '
        'ties="independent" (--ties independent)'
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
