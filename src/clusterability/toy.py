"""Small graphs and networks with known groups, for examples and tests.

A planted graph has two groups in each layer: its neurons 0, 2, ... and its neurons 1, 3, ...
Strengths are 1 within a group and ``between`` across. If every layer has an even number of neurons,
the groups' labels are ``torch.arange(n_neurons) % 2``, and their n-cut is 2 b / (1 + b), b being
``between``.

>>> from clusterability import normalized_cut, toy
>>> normalized_cut(toy.planted_mlp(between=0.25), torch.arange(14) % 2)
tensor(0.4000, dtype=torch.float64)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.graph import Block, Layer, NeuronGraph

Weighted = TypeVar("Weighted", nn.Linear, nn.Conv2d)

BETWEEN = 0.1
"""Default strength between neurons of different planted groups."""


def path(n_neurons: int = 4) -> NeuronGraph:
    """Return neurons in a row, each joined to the next with strength 1; every layer has one neuron.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(path(), torch.tensor([0, 0, 1, 1]))
    tensor(0.6667, dtype=torch.float64)
    """
    return NeuronGraph.chain([torch.ones(1, 1)] * (n_neurons - 1))


def star(n_leaves: int = 6) -> NeuronGraph:
    """Return a layer of one neuron joined with strength 1 to each neuron of a second layer.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(star(), torch.tensor([0, 0, 0, 0, 1, 1, 1]))
    tensor(1.3333, dtype=torch.float64)
    """
    return NeuronGraph.chain([torch.ones(1, n_leaves)])


def matching(n_pairs: int = 3) -> NeuronGraph:
    """Return two layers in which neuron i of one is joined only to neuron i of the other.

    The graph has ``n_pairs`` components; with the pairs as clusters, the n-cut is 0.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(matching(), torch.tensor([0, 1, 2, 0, 1, 2]))
    tensor(0., dtype=torch.float64)
    """
    return NeuronGraph.chain([torch.eye(n_pairs)])


def two_triangles() -> NeuronGraph:
    """Return two triangles joined by one edge, six neurons in one layer.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(two_triangles(), torch.tensor([0, 0, 0, 1, 1, 1]))
    tensor(0.2857, dtype=torch.float64)
    """
    return barbell(3)


def barbell(size: int = 4) -> NeuronGraph:
    """Return two complete graphs of ``size`` neurons joined by one edge, all in one layer.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(barbell(), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    tensor(0.1538, dtype=torch.float64)
    """
    clique = torch.arange(2 * size) // size
    strengths = (clique[:, None] == clique).float().triu(1)
    strengths[size - 1, size] = 1
    return NeuronGraph((Layer("all", 2 * size),), (Block(0, 0, strengths),))


def planted_mlp(sizes: Sequence[int] = (4, 6, 4), between: float = BETWEEN) -> NeuronGraph:
    """Return a chain of layers with two planted groups; two components if ``between`` is 0.

    Args:
        sizes: neurons of each layer.
        between: strength across the groups.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(planted_mlp(), torch.arange(14) % 2)
    tensor(0.1818, dtype=torch.float64)
    """
    return NeuronGraph.chain([_planted(s, t, between) for s, t in pairwise(sizes)])


def planted_triangle(size: int = 4, between: float = BETWEEN) -> NeuronGraph:
    """Return three layers joined pairwise, with two planted groups; not two-colorable.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(planted_triangle(), torch.arange(12) % 2)
    tensor(0.1818, dtype=torch.float64)
    """
    layers = tuple(Layer(f"layer{i}", size) for i in range(3))
    strengths = _planted(size, size, between)
    return NeuronGraph(layers, tuple(Block(s, t, strengths) for s, t in ((0, 1), (1, 2), (0, 2))))


def residual_chain(width: int = 4, n_blocks: int = 2, between: float = BETWEEN) -> NeuronGraph:
    """Return the graph of a :class:`ResidualMLP`, in which skips repeat the blocks of kernels.

    >>> from clusterability import normalized_cut
    >>> graph = residual_chain()
    >>> normalized_cut(graph, torch.arange(28) % 2)
    tensor(0.1818, dtype=torch.float64)
    >>> [(block.source, block.target, block.kernel) for block in graph.blocks[:4]]
    [(0, 1, 'stem'), (0, 3, 'stem'), (0, 5, 'stem'), (1, 2, None)]
    """
    # A stream is the sum that a block or the head reads; every kernel before it leads into it.
    names = ["input"]
    for i in range(n_blocks):
        names += [f"stream{i}", f"hidden{i}"]
    layers = tuple(Layer(name, width) for name in [*names, f"stream{n_blocks}", "output"])
    strengths = _planted(width, width, between)
    streams = range(1, len(layers) - 1, 2)
    blocks = [Block(0, stream, strengths, None, "stem") for stream in streams]
    for stream in streams[:-1]:
        hidden, later = stream + 1, streams[stream // 2 + 1 :]
        kernel = f"rise{stream // 2}" if len(later) > 1 else None
        blocks.append(Block(stream, hidden, strengths))
        blocks += [Block(hidden, reader, strengths, None, kernel) for reader in later]
    blocks.append(Block(streams[-1], len(layers) - 1, strengths))
    return NeuronGraph(layers, tuple(blocks))


def chain_with_isolated() -> NeuronGraph:
    """Return ``planted_mlp((2, 2, 2))`` with a third, isolated neuron in the middle layer.

    >>> from clusterability import normalized_cut
    >>> normalized_cut(chain_with_isolated(), torch.tensor([0, 1, 0, 1, -1, 0, 1]))
    tensor(0.1818, dtype=torch.float64)
    """
    strengths = _planted(2, 2, BETWEEN)
    alone = torch.zeros(1, 2)
    return NeuronGraph.chain([torch.cat([strengths, alone.T], 1), torch.cat([strengths, alone])])


def grouped_convolutions() -> NeuronGraph:
    """Return a chain of a grouped, a depthwise and a full block; a skip repeats the last one.

    Layer ``a`` joins ``b`` in two groups, ``b`` joins ``c`` channel by channel, and ``c`` joins
    ``d`` fully. The block of ``c`` and ``d`` also joins ``b`` and ``d``, twice as strong. Strengths
    are drawn from a fixed seed and all differ, so that tests can detect a shuffle.

    >>> from clusterability import normalized_cut
    >>> halves = torch.tensor([0] * 3 + [1] * 3 + ([0] * 4 + [1] * 4) * 2 + [1] * 5)
    >>> normalized_cut(grouped_convolutions(), halves)
    tensor(0.9235, dtype=torch.float64)
    """
    rng = np.random.default_rng(0)
    supports = [np.kron(np.eye(2), np.ones((3, 4))), np.eye(8), np.ones((8, 5))]
    grouped, depthwise, full = (
        torch.tensor(rng.random(support.shape) * support, dtype=torch.float32)
        for support in supports
    )
    return NeuronGraph(
        (Layer("a", 6), Layer("b", 8), Layer("c", 8), Layer("d", 5)),
        (
            Block(0, 1, grouped, torch.tensor(supports[0] > 0), "kernel0"),
            Block(1, 2, depthwise, torch.tensor(supports[1] > 0), "kernel1"),
            Block(2, 3, full, None, "kernel2"),
            Block(1, 3, 2 * full, None, "kernel2"),
        ),
    )


class ResidualMLP(nn.Module):
    """Dense layers of one width with residual pairs, x + rise(relu(fall(x))), and planted groups.

    >>> from clusterability import neuron_graph, normalized_cut
    >>> round(normalized_cut(neuron_graph(ResidualMLP()), torch.arange(28) % 2).item(), 4)
    0.1818
    """

    def __init__(self, width: int = 4, n_blocks: int = 2, between: float = BETWEEN) -> None:
        super().__init__()
        self.stem = _planted_linear(width, between)
        self.falls = nn.ModuleList(_planted_linear(width, between) for _ in range(n_blocks))
        self.rises = nn.ModuleList(_planted_linear(width, between) for _ in range(n_blocks))
        self.head = _planted_linear(width, between)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, of the shape (..., width) of ``x``."""
        x = self.stem(x)
        for fall, rise in zip(self.falls, self.rises, strict=True):
            x = x + rise(torch.relu(fall(x)))
        output: Tensor = self.head(x)
        return output


def planted_cnn(channels: Sequence[int] = (1, 4, 6, 4), between: float = BETWEEN) -> nn.Sequential:
    """Return a CNN of 3 x 3 convolutions with two planted groups of channels, and a dense output.

    Args:
        channels: number of channels of the image and of each convolution.
        between: sum of the absolute values of a kernel slice across the groups; 1 within.

    >>> from clusterability import neuron_graph, normalized_cut
    >>> round(normalized_cut(neuron_graph(planted_cnn()), torch.arange(14) % 2).item(), 4)
    0.1818
    """
    modules: list[nn.Module] = []
    for n_source, n_target in pairwise(channels):
        convolution = nn.Conv2d(n_source, n_target, 3, padding=1, bias=False)
        slices = _planted(n_target, n_source, between)[:, :, None, None] / 9
        modules += [_set_weight(convolution, slices.expand(-1, -1, 3, 3)), nn.ReLU()]
    dense = _set_weight(nn.Linear(channels[-1], 2, bias=False), _planted(2, channels[-1], between))
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)


def _planted(n_rows: int, n_columns: int, between: float) -> Tensor:
    """Return (n_rows, n_columns): 1 where row and column have the same parity, else ``between``."""
    same = (torch.arange(n_rows)[:, None] - torch.arange(n_columns)) % 2 == 0
    return torch.where(same, 1.0, between)


def _planted_linear(width: int, between: float) -> nn.Linear:
    linear = nn.Linear(width, width, bias=False)
    return _set_weight(linear, _planted(width, width, between))


def _set_weight(module: Weighted, weight: Tensor) -> Weighted:
    with torch.no_grad():
        module.weight.copy_(weight)
    return module
