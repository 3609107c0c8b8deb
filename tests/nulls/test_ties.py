from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.nulls.ties import block_generators, check_copies, untie
from graphs import grouped_convolutions, random_chain


def with_kernels(*kernels):
    layers = tuple(Layer(f"l{i}", 3) for i in range(len(kernels) + 1))
    blocks = (Block(i, i + 1, torch.ones(3, 3), None, name) for i, name in enumerate(kernels))
    return NeuronGraph(layers, tuple(blocks))


def draws(graph, seed=0):
    rng = np.random.default_rng(seed)
    return [generator.random(3).tolist() for generator in block_generators(graph, rng)]


def stream(n, seed=0):
    return np.random.default_rng(seed).random((n, 3)).tolist()


@pytest.mark.parametrize("kernels", [(None,) * 3, ("a", "b", "c"), (None, "a", None)])
def test_without_copies_the_random_numbers_are_one_stream(kernels):
    assert draws(with_kernels(*kernels)) == stream(3)


def test_copies_get_the_random_numbers_of_the_first():
    first, second, third, fourth = stream(4)
    expected = [first, second, first, third, second, first, fourth]
    assert draws(with_kernels("a", "b", "a", None, "b", "a", "c")) == expected


def test_other_kinds_of_generators_are_repeated_too():
    rng = np.random.Generator(np.random.MT19937(3))
    rng.integers(0, 10, size=3, dtype=np.uint32)  # PCG64 and MT19937 hold half a word back
    numbers = [
        generator.integers(0, 2**32, size=3, dtype=np.uint32).tolist()
        for generator in block_generators(with_kernels("a", "b", "a"), rng)
    ]
    assert numbers[0] == numbers[2] != numbers[1]


def test_untie_takes_the_names_away_and_nothing_else():
    graph = grouped_convolutions()
    graph = graph.with_flat_strengths(graph.flat_strengths())
    other = untie(graph)
    assert all(block.kernel is None for block in other.blocks)
    assert other.flat_strengths() is graph.flat_strengths()
    assert [b.support is None for b in other.blocks] == [b.support is None for b in graph.blocks]
    assert draws(other) == stream(4)
    chain = random_chain([2, 3])
    assert untie(chain) is chain


@pytest.mark.parametrize(
    "change",
    [
        {"strengths": torch.ones(3, 4), "target": 3},
        {"support": torch.ones(3, 3, dtype=torch.bool)},
    ],
    ids=["shape", "support"],
)
def test_copies_that_differ_cannot_be_tied(change):
    graph = with_kernels("conv", "conv")
    layers = (*graph.layers, Layer("wide", 4))
    graph = NeuronGraph(layers, (graph.blocks[0], replace(graph.blocks[1], **change)))
    for run in (lambda: draws(graph), lambda: check_copies(graph, torch.ones(13) > 0)):
        with pytest.raises(InputError, match="same kernel 'conv', but another shape or support"):
            run()


def test_copies_with_equal_supports_are_tied():
    graph = with_kernels("conv", "conv")
    supports = [torch.eye(3) > 0 for _ in range(2)]
    blocks = (replace(b, support=s) for b, s in zip(graph.blocks, supports, strict=True))
    first, second = draws(replace(graph, blocks=tuple(blocks)))
    assert first == second


def test_copies_that_lose_the_same_neurons_may_be_dropped_first():
    layers = tuple(Layer(name, 3) for name in "abc")
    copies = tuple(Block(0, i, torch.ones(3, 3), None, "conv") for i in (1, 2))
    graph = NeuronGraph(layers, copies)
    alive = torch.tensor([True, True, False] * 3)
    check_copies(graph, alive)
    # As many are lost, but others: shapes alone would not tell.
    alive[3:6] = torch.tensor([False, True, True])
    remedies = r"kernel 'conv' lose different.*isolated=.drop-after.* or ties=.independent"
    with pytest.raises(InputError, match=remedies):
        check_copies(graph, alive)
