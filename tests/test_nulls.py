from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import torch

import plain_pipeline
from clusterability import nulls as module
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.nulls import NULLS, permuted, shuffle_layer, shuffle_nonzero, without_isolated
from graphs import AWKWARD, TRIANGLE, joined, naive_adjacency, random_chain


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(graph):
    return graph.with_flat_strengths(graph.flat_strengths().float())


GRAPHS = {name: flat(graph) for name, graph in AWKWARD.items()}
GRAPHS["larger"] = flat(joined([40, 30, 20], TRIANGLE, density=0.3))


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_block_keeps_its_strengths(name, null):
    graph = GRAPHS[name]
    before = graph.flat_strengths().clone()
    shuffled = NULLS[null](graph, rng())
    assert shuffled.layers == graph.layers
    assert torch.equal(graph.flat_strengths(), before)
    for old, new in zip(graph.blocks, shuffled.blocks, strict=True):
        assert (old.source, old.target) == (new.source, new.target)
        assert torch.equal(
            old.strengths.flatten().sort().values, new.strengths.flatten().sort().values
        )


def test_the_larger_graph_is_indeed_shuffled():
    graph = GRAPHS["larger"]
    for null in NULLS.values():
        shuffled = null(graph, rng())
        for old, new in zip(graph.blocks, shuffled.blocks, strict=True):
            assert not torch.equal(old.strengths, new.strengths)


@pytest.mark.parametrize("name", GRAPHS)
def test_nonzero_keeps_the_places_of_the_zeros(name):
    graph = GRAPHS[name]
    shuffled = shuffle_nonzero(graph, rng())
    assert torch.equal(shuffled.flat_strengths() > 0, graph.flat_strengths() > 0)


def test_layer_moves_the_zeros():
    graph = GRAPHS["larger"]
    shuffled = shuffle_layer(graph, rng())
    assert not torch.equal(shuffled.flat_strengths() > 0, graph.flat_strengths() > 0)


@pytest.mark.parametrize("null", NULLS)
def test_deterministic_in_the_seed(null):
    graph = GRAPHS["larger"]
    first, again, other = (NULLS[null](graph, rng(seed)).flat_strengths() for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("null", NULLS)
def test_shuffles_lie_flat(null):
    shuffled = NULLS[null](GRAPHS["larger"], rng())
    strengths = shuffled.flat_strengths()
    assert shuffled.blocks[0].strengths.data_ptr() == strengths.data_ptr()
    assert strengths.data_ptr() != GRAPHS["larger"].flat_strengths().data_ptr()


def chi_square(draws, n):
    """p-value of equal likelihood of all orders of n entries."""
    orders = {order: i for i, order in enumerate(permutations(range(n)))}
    counts = np.bincount([orders[draw] for draw in draws], minlength=len(orders))
    return scipy.stats.chisquare(counts).pvalue


def order(n, generator):
    return tuple(permuted(np.arange(n, dtype=np.float32), generator).astype(int).tolist())


@pytest.mark.parametrize("cached", [3, 2**20])
@pytest.mark.parametrize("chunk", [1, 2, 3, 2**16])
def test_all_orders_are_equally_likely(chunk, cached, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    monkeypatch.setattr(module, "_CACHED", cached)
    generator = rng(3)
    assert chi_square([order(4, generator) for _ in range(2400)], 4) > 1e-3


def test_values_that_no_cache_holds_are_all_kept_and_spread():
    values = np.arange(module._CACHED + 1, dtype=np.float32)
    shuffled = permuted(values, rng(7))
    assert np.array_equal(np.sort(shuffled), values)
    assert np.array_equal(values, np.arange(values.size))
    assert abs(np.corrcoef(values, shuffled)[0, 1]) < 0.005


@pytest.mark.parametrize("null", NULLS)
def test_all_orders_of_a_block_are_equally_likely(null):
    graph = flat(NeuronGraph.chain([torch.tensor([[1.0, 2.0], [3.0, 4.0]])]))
    generator = rng(4)
    draws = []
    for _ in range(2400):
        values = NULLS[null](graph, generator).flat_strengths().tolist()
        draws.append(tuple(int(value) - 1 for value in values))
    assert chi_square(draws, 4) > 1e-3


@pytest.mark.parametrize("chunk", [1, 7, 64, 99, 100, 101])
def test_pieces_of_the_random_numbers_do_not_show(chunk, monkeypatch):
    """The stream of random numbers is the same however it is cut, so the order is."""
    whole = permuted(np.arange(100, dtype=np.float32), rng(5))
    monkeypatch.setattr(module, "_CHUNK", chunk)
    pieces = permuted(np.arange(100, dtype=np.float32), rng(5))
    assert np.array_equal(pieces, whole)
    assert not np.array_equal(whole, np.arange(100))
    assert np.array_equal(np.sort(whole), np.arange(100))


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_permute(n):
    values = np.arange(n, dtype=np.float32)
    assert np.array_equal(permuted(values, rng()), values)


def test_without_isolated_equals_the_plain_pipeline():
    graph = random_chain([30, 20, 15, 5], density=0.04)
    kept = without_isolated(graph)
    blocks = [block.strengths.numpy() for block in graph.blocks]
    expected = plain_pipeline.drop_isolated(blocks)
    assert kept.n_neurons < graph.n_neurons
    assert [layer.name for layer in kept.layers] == [layer.name for layer in graph.layers]
    for block, strengths in zip(kept.blocks, expected, strict=True):
        assert np.array_equal(block.strengths.numpy(), strengths)


@pytest.mark.parametrize("name", [name for name in AWKWARD if name != "untouched layer"])
def test_without_isolated_keeps_the_connections(name):
    graph = AWKWARD[name]
    adjacency = naive_adjacency(graph)
    alive = adjacency.sum(1) > 0
    kept = without_isolated(graph)
    np.testing.assert_array_equal(naive_adjacency(kept), adjacency[alive][:, alive])
    assert (kept is graph) == bool(alive.all())


def test_without_isolated_empties_a_layer_that_nothing_touches():
    layers = (Layer("a", 2), Layer("b", 3), Layer("c", 1))
    graph = NeuronGraph(layers, (Block(0, 2, torch.ones(2, 1)),))
    assert [layer.n_neurons for layer in without_isolated(graph).layers] == [2, 0, 1]
