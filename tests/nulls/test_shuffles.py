from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import scipy  # scipy.stats, which takes a second, is loaded when it is first used
import torch

from clusterability.errors import InputError
from clusterability.evaluation import Draw, evaluate
from clusterability.experiments import plain_pipeline
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.nulls import permutation as module
from clusterability.nulls.isolated import without_isolated
from clusterability.nulls.permutation import permute
from clusterability.nulls.shuffles import shuffle_layer, shuffle_nonzero
from clusterability.nulls.ties import untie
from clusterability.registries import NULLS
from clusterability.settings import Settings
from graphs import (
    AWKWARD,
    TRIANGLE,
    grouped_convolutions,
    joined,
    naive_adjacency,
    random_chain,
)


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


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("name", ["grouped", "one layer", "within and between", "within twice"])
def test_nothing_leaves_its_support(name, null):
    graph = GRAPHS[name]
    moved = False
    for seed in range(5):
        shuffled = NULLS[null](graph, rng(seed))
        shuffled.check_strengths()
        for old, new in zip(graph.blocks, shuffled.blocks, strict=True):
            assert (old.support is None) == (new.support is None)
            if old.support is not None:
                assert not new.strengths[~old.support].any()
                moved |= not torch.equal(old.strengths, new.strengths)
    assert moved


def test_zeros_inside_a_support_move():
    block = Block(0, 0, torch.zeros(4, 4))
    block.strengths[0, 1] = 1.0
    graph = flat(NeuronGraph((Layer("a", 4),), (block,)))
    places = {int(shuffle_layer(graph, rng(seed)).flat_strengths().argmax()) for seed in range(60)}
    assert places == {1, 2, 3, 6, 7, 11}


@pytest.mark.slow
def test_all_orders_inside_a_support_are_equally_likely():
    support = torch.tensor([[True, False, True], [False, True, True]])
    strengths = torch.zeros(2, 3)
    strengths[support] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    graph = flat(NeuronGraph((Layer("a", 2), Layer("b", 3)), (Block(0, 1, strengths, support),)))
    generator = rng(8)
    draws = []
    for _ in range(2400):
        values = shuffle_layer(graph, generator).blocks[0].strengths[support].tolist()
        draws.append(tuple(int(value) - 1 for value in values))
    assert chi_square(draws, 4) > 1e-3


def tied_graph():
    """Two copies of one kernel, the second twice as strong, with a block between them."""
    strengths = torch.arange(12.0).view(3, 4)
    layers = tuple(Layer(name, n) for name, n in zip("abc", (3, 4, 4), strict=True))
    blocks = (
        Block(0, 1, strengths, None, "conv"),
        Block(1, 2, torch.rand(4, 4, generator=torch.Generator().manual_seed(0)), None, "other"),
        Block(0, 2, 2 * strengths, None, "conv"),
    )
    return flat(NeuronGraph(layers, blocks))


@pytest.mark.parametrize("null", NULLS)
def test_copies_of_a_kernel_are_permuted_alike(null):
    graph = tied_graph()
    first, between, second = (block.strengths for block in NULLS[null](graph, rng(2)).blocks)
    assert torch.equal(2 * first, second)
    assert not torch.equal(first, graph.blocks[0].strengths)
    alone = NULLS[null](untie(graph), rng(2)).blocks
    assert not torch.equal(2 * alone[0].strengths, alone[2].strengths)
    # What comes before the first copy's repetition is the same in both.
    assert torch.equal(alone[0].strengths, first)
    assert torch.equal(alone[1].strengths, between)


def test_copies_of_mostly_zeros_with_other_zeros_are_permuted_alike():
    strengths = random_chain([30, 40], density=0.1).blocks[0].strengths.float()
    copy = 2 * strengths
    copy[:, :20] = 0  # as behind a batch norm whose weights there are 0
    blocks = tuple(Block(0, i, s, None, "conv") for i, s in ((1, strengths), (2, copy)))
    layers = (Layer("a", 30), Layer("b", 40), Layer("c", 40))
    shuffled = shuffle_layer(flat(NeuronGraph(layers, blocks)), rng(2)).blocks
    assert not torch.equal(shuffled[0].strengths, strengths)
    before, after = (
        sorted(zip(*(block.strengths.flatten().tolist() for block in each), strict=True))
        for each in (blocks, shuffled)
    )
    assert before == after


@pytest.mark.slow
def test_all_orders_of_tied_copies_are_equally_likely():
    strengths = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    blocks = tuple(Block(0, i, strengths, None, "conv") for i in (1, 2))
    graph = flat(NeuronGraph(tuple(Layer(name, 2) for name in "abc"), blocks))
    generator = rng(9)
    draws = []
    for _ in range(2400):
        values = shuffle_layer(graph, generator).blocks[1].strengths.flatten().tolist()
        draws.append(tuple(int(value) - 1 for value in values))
    assert chi_square(draws, 4) > 1e-3


@pytest.mark.parametrize("density", [0.1, 0.9])
def test_names_without_copies_change_no_number(density):
    graph = flat(random_chain([20, 30, 10], density=density))
    named = replace(
        graph, blocks=tuple(replace(b, kernel=str(i)) for i, b in enumerate(graph.blocks))
    )
    for null in NULLS.values():
        expected = null(graph, rng(5)).flat_strengths()
        assert torch.equal(null(named, rng(5)).flat_strengths(), expected)


def test_copies_with_other_zeros_are_permuted_alike_and_keep_them():
    strengths = torch.arange(1.0, 31.0).view(5, 6)
    zeros = [torch.zeros(5, 6, dtype=torch.bool) for _ in range(3)]
    zeros[0][2], zeros[1][2, :4], zeros[1][0] = True, True, True
    zeros[0][4, 0] = zeros[1][4, 0] = zeros[2][4, 0] = True
    blocks = tuple(
        Block(0, i, i * strengths.masked_fill(zero, 0), None, "conv")
        for i, zero in enumerate(zeros, 1)
    )
    layers = (Layer("a", 5), *(Layer(name, 6) for name in "bcd"))
    shuffled = shuffle_nonzero(flat(NeuronGraph(layers, blocks)), rng(3)).blocks
    kinds = {}
    for place in range(30):
        kind = tuple(bool(zero.view(-1)[place]) for zero in zeros)
        kinds.setdefault(kind, []).append(place)
    assert len(kinds) == 5
    moved = 0
    for kind, places in kinds.items():
        for i, is_zero in enumerate(kind):
            before, after = (b[i].strengths.view(-1)[places] for b in (blocks, shuffled))
            assert torch.equal(after == 0, torch.full((len(places),), is_zero))
            assert torch.equal(after.sort().values, before.sort().values)
            moved += int((after != before).sum())
    assert moved > 30
    for i in (1, 2):
        both = ~zeros[0] & ~zeros[i]
        factor = shuffled[i].strengths[both] / shuffled[0].strengths[both]
        assert torch.allclose(factor, torch.tensor(i + 1.0))


@pytest.mark.slow
def test_copies_with_other_zeros_share_one_null_of_equally_likely_orders():
    blocks = (
        Block(0, 1, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), None, "conv"),
        Block(0, 2, torch.tensor([[1.0, 2.0], [3.0, 0.0]]), None, "conv"),
    )
    graph = flat(NeuronGraph(tuple(Layer(name, 2) for name in "abc"), blocks))
    generator, draws = rng(9), []
    for _ in range(1200):
        first, second = (
            b.strengths.flatten().tolist() for b in shuffle_nonzero(graph, generator).blocks
        )
        assert (first[:3], first[3], second[3]) == (second[:3], 4, 0)
        draws.append(tuple(int(value) - 1 for value in first[:3]))
    assert chi_square(draws, 3) > 1e-3


def test_copies_of_other_shapes_cannot_be_tied_by_nonzero():
    graph = tied_graph()
    blocks = (*graph.blocks[:2], replace(graph.blocks[1], kernel="conv"))
    with pytest.raises(InputError, match="same kernel 'conv', but another shape"):
        shuffle_nonzero(flat(replace(graph, blocks=blocks, _flat=None)), rng())


def test_without_isolated_keeps_supports_and_kernels():
    graph = grouped_convolutions()
    blocks = [replace(b, strengths=b.strengths.clone()) for b in graph.blocks]
    blocks[0].strengths[1] = 0
    blocks[2].strengths[:, 3] = 0
    blocks[3].strengths[:, 3] = 0
    kept = without_isolated(replace(graph, blocks=tuple(blocks)))
    assert kept.layer_sizes == [5, 8, 8, 4]
    assert [block.kernel for block in kept.blocks] == [block.kernel for block in graph.blocks]
    expected = torch.block_diag(torch.ones(2, 4), torch.ones(3, 4)) > 0
    assert torch.equal(kept.blocks[0].support, expected)
    kept.check_strengths()


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
    return tuple(permute(np.arange(n, dtype=np.float32), generator).astype(int).tolist())


@pytest.mark.slow
@pytest.mark.parametrize("cached", [3, 2**20])
@pytest.mark.parametrize("chunk", [1, 2, 3, 2**16])
def test_all_orders_are_equally_likely(chunk, cached, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "CACHED", cached)
    generator = rng(3)
    assert chi_square([order(4, generator) for _ in range(2400)], 4) > 1e-3


@pytest.mark.parametrize("cached", [3, 2**20])
@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox])  # of 32 and 64 bits
def test_any_generator_makes_all_orders_equally_likely(bits, cached, monkeypatch):
    monkeypatch.setattr(module, "CACHED", cached)
    generator = np.random.Generator(bits(3))
    assert chi_square([order(4, generator) for _ in range(2400)], 4) > 1e-3


@pytest.mark.parametrize("density", [0.1, 0.9])
def test_strengths_that_do_not_lie_side_by_side(density):
    graph = flat(random_chain([20, 30, 10], density=density))
    strengths = graph.flat_strengths()
    apart = graph.with_flat_strengths(torch.stack([strengths, 9 + 0 * strengths], -1)[:, 0])
    found, expected = (shuffle_layer(g, rng(6)).flat_strengths() for g in (apart, graph))
    assert torch.equal(found, expected)


@pytest.mark.slow
def test_n_cuts_of_sparse_and_dense_shuffles_have_one_distribution(monkeypatch):
    graph = flat(random_chain([60, 40, 40, 10], 3, density=0.15))
    settings, seeds = Settings(n_clusters=4, n_init=5), np.random.SeedSequence(0).spawn(240)

    def ncuts(seeds):
        return [evaluate(graph, settings, Draw(seed, shuffled=True)).refined.ncut for seed in seeds]

    sparse = ncuts(seeds[:120])
    monkeypatch.setattr("clusterability.nulls.shuffles.SPARSE", 0)
    dense = ncuts(seeds[120:])
    assert scipy.stats.mannwhitneyu(sparse, dense).pvalue > 0.01
    assert scipy.stats.ks_2samp(sparse, dense).pvalue > 0.01


def test_values_that_no_cache_holds_are_all_kept_and_spread():
    values = np.arange(module.CACHED + 1, dtype=np.float32)
    shuffled = permute(values, rng(7))
    assert np.array_equal(np.sort(shuffled), values)
    assert np.array_equal(values, np.arange(values.size))
    assert abs(np.corrcoef(values, shuffled)[0, 1]) < 0.005


@pytest.mark.slow
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
    whole = permute(np.arange(100, dtype=np.float32), rng(5))
    monkeypatch.setattr(module, "CHUNK", chunk)
    pieces = permute(np.arange(100, dtype=np.float32), rng(5))
    assert np.array_equal(pieces, whole)
    assert not np.array_equal(whole, np.arange(100))
    assert np.array_equal(np.sort(whole), np.arange(100))


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_permute(n):
    values = np.arange(n, dtype=np.float32)
    assert np.array_equal(permute(values, rng()), values)


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
