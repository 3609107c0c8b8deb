from dataclasses import replace
from functools import partial

import networkx
import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.graph.packed import pack
from clusterability.graph.products import matmul, transposed_matmul
from clusterability.nulls.isolated import without_isolated
from clusterability.registries import NULLS
from clusterability.spectral.bound import spectrum
from graphs import (
    AWKWARD,
    TRIANGLE,
    batch_like,
    grouped_convolutions,
    joined,
    naive_adjacency,
    one_by_one,
    random_chain,
)


@pytest.mark.parametrize("name", AWKWARD)
def test_degrees_and_product_equal_those_of_the_dense_adjacency(name):
    graph = AWKWARD[name]
    adjacency = naive_adjacency(graph)
    degrees = graph.degrees(torch.float64)
    assert degrees.dtype == torch.float64
    np.testing.assert_allclose(degrees.numpy(), adjacency.sum(1), rtol=1e-12)
    vectors = np.random.default_rng(0).standard_normal((graph.n_neurons, 3))
    product = graph.product(torch.tensor(vectors))
    np.testing.assert_allclose(product.numpy(), adjacency @ vectors, rtol=1e-10, atol=1e-8)


def test_product_runs_in_the_precision_of_the_vectors():
    graph = random_chain([5, 4])
    assert graph.product(torch.ones(9, 1)).dtype == torch.float32
    assert graph.product(torch.ones(9, 1, dtype=torch.float64)).dtype == torch.float64


def test_offsets_and_counts():
    graph = joined([4, 5, 3], [(0, 1), (1, 0), (2, 0)])
    assert graph.offsets == (0, 4, 9, 12)
    assert graph.n_neurons == 12
    assert graph.n_strengths == 20 + 20 + 12
    assert graph.device == torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
@pytest.mark.parametrize("name", AWKWARD)
def test_a_batch_equals_a_loop_over_its_graphs(name, shape):
    batch = batch_like(AWKWARD[name], shape)
    graphs = one_by_one(batch)
    n = batch.n_neurons
    own = torch.tensor(np.random.default_rng(0).standard_normal((*shape, n, 2)))
    each = own.view(-1, n, 2)
    assert batch.batch_shape == shape
    assert batch.n_strengths == graphs[0].n_strengths
    assert batch.two_coloring() == graphs[0].two_coloring()
    degrees = torch.stack([graph.degrees(torch.float64) for graph in graphs])
    products = torch.stack([g.product(x) for g, x in zip(graphs, each, strict=True)])
    shared = torch.stack([graph.product(each[0]) for graph in graphs])
    for found, expected in (
        (batch.degrees(torch.float64), degrees),
        (batch.product(own), products),
        (batch.product(each[0]), shared),
    ):
        assert found.shape[: len(shape)] == shape
        torch.testing.assert_close(found.flatten(0, len(shape) - 1), expected)


@pytest.mark.parametrize("name", AWKWARD)
def test_one_graph_takes_a_batch_of_vectors(name):
    graph = AWKWARD[name]
    vectors = torch.tensor(np.random.default_rng(0).standard_normal((3, graph.n_neurons, 2)))
    expected = torch.stack([graph.product(each) for each in vectors])
    torch.testing.assert_close(graph.product(vectors), expected)


@pytest.mark.parametrize("name", AWKWARD)
def test_the_flat_strengths_of_a_batch_round_trip(name):
    batch = batch_like(AWKWARD[name], (2, 2))
    blocks = NeuronGraph(batch.layers, batch.blocks)  # the same without the flat tensor
    assert torch.equal(blocks.flat_strengths(), batch.flat_strengths())
    assert blocks.to("meta").batch_shape == (2, 2)


def test_a_chain_of_batches():
    strengths = [torch.rand(2, 3, 4, 5), torch.rand(2, 3, 5, 6)]
    batch = NeuronGraph.chain(strengths)
    assert batch.layer_sizes == [4, 5, 6]
    assert batch.batch_shape == (2, 3)
    one = NeuronGraph.chain([block[1, 2] for block in strengths])
    torch.testing.assert_close(batch.degrees()[1, 2], one.degrees())
    assert NeuronGraph.chain([torch.ones(2, 3)]).batch_shape == ()


def test_leading_axes_that_differ_are_refused():
    with pytest.raises(InputError, match=r"different leading axes, \(2,\) and \(3,\); a batch"):
        NeuronGraph.chain([torch.ones(3, 4, 5), torch.ones(2, 5, 6)])
    with pytest.raises(InputError, match=r"different leading axes, \(\) and \(3,\)"):
        NeuronGraph.chain([torch.ones(3, 4, 5), torch.ones(5, 6)])


@pytest.mark.parametrize(
    "function",
    [
        NeuronGraph.to_scipy,
        NeuronGraph.to_networkx,
        NeuronGraph.check_single,
        pack,
        without_isolated,
        *(partial(null, rng=np.random.default_rng(0)) for null in NULLS.values()),
        partial(spectrum, n_eigenvalues=2, rng=np.random.default_rng(0)),
    ],
)
def test_functions_of_one_graph_refuse_a_batch(function):
    graph = random_chain([3, 4, 2])
    function(graph)
    with pytest.raises(
        InputError, match=r"one graph, got a batch of shape \(2, 5\); take one"
    ) as e:
        function(batch_like(graph, (2, 5)))
    assert "graph.flat_strengths()[0, 0]" in str(e.value)


@pytest.mark.parametrize("name", AWKWARD)
def test_flat_strengths_round_trip(name):
    graph = AWKWARD[name]
    flat = graph.flat_strengths()
    again = graph.with_flat_strengths(flat)
    assert again.flat_strengths() is flat
    assert again.layers == graph.layers
    for before, after in zip(graph.blocks, again.blocks, strict=True):
        assert (before.source, before.target) == (after.source, after.target)
        assert torch.equal(before.strengths, after.strengths)


def test_flat_blocks_are_views():
    graph = random_chain([3, 4, 2])
    flat = torch.zeros(graph.n_strengths)
    view = graph.with_flat_strengths(flat)
    flat[0], flat[-1] = 5, 7
    assert view.blocks[0].strengths[0, 0] == 5
    assert view.blocks[1].strengths[-1, -1] == 7
    assert graph.blocks[0].strengths[0, 0] != 5


@pytest.mark.parametrize("n_layers", [2, 3, 6])
def test_a_chain_is_colored_in_turns(n_layers):
    assert random_chain([2] * n_layers).two_coloring() == tuple(i % 2 for i in range(n_layers))


def test_odd_circles_of_layers_have_no_two_coloring():
    assert joined([2, 2, 2], TRIANGLE).two_coloring() is None
    circle = [(i, (i + 1) % 5) for i in range(5)]
    assert joined([2] * 5, circle).two_coloring() is None
    # An odd circle that the search meets only in the second group of layers.
    assert joined([2] * 5, [(0, 1), (2, 3), (3, 4), (4, 2)]).two_coloring() is None


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, 1), (1, 1)], [(0, 1), (1, 2), (2, 2)]])
def test_a_layer_joined_to_itself_has_no_two_coloring(pairs):
    assert joined([3, 3, 3], pairs).two_coloring() is None


def test_a_block_within_a_layer_is_its_upper_triangle_both_ways():
    """Against a graph of networkx, to which each edge is added once."""
    graph = joined([6, 4], [(0, 0), (0, 1), (1, 1)], density=0.6, dtype=torch.float64)
    other = networkx.Graph()
    other.add_nodes_from(range(10))
    for block in graph.blocks:
        for i, j in block.strengths.nonzero().tolist():
            ends = graph.offsets[block.source] + i, graph.offsets[block.target] + j
            other.add_edge(*ends, weight=float(block.strengths[i, j]))
    degrees = [other.degree(node, weight="weight") for node in range(10)]
    np.testing.assert_allclose(graph.degrees().numpy(), degrees, rtol=1e-12)
    np.testing.assert_allclose(naive_adjacency(graph), networkx.to_numpy_array(other), rtol=1e-12)
    assert [block.support is None for block in graph.blocks] == [False, True, False]
    assert torch.equal(graph.blocks[0].support, torch.ones(6, 6).triu(1) > 0)


def test_an_own_support_within_a_layer_is_kept():
    support = torch.zeros(3, 3, dtype=torch.bool)
    support[0, 2] = True
    block = Block(0, 0, support.float(), support)
    assert NeuronGraph((Layer("a", 3),), (block,)).blocks[0].support is support


def test_support_and_kernel_stay_with_their_block():
    graph = grouped_convolutions()
    others = [graph.with_flat_strengths(graph.flat_strengths()), graph.to("meta")]
    batch = torch.stack([graph.flat_strengths()] * 2)
    others.append(graph.with_flat_strengths(batch))
    for other in others:
        assert [b.kernel for b in other.blocks] == ["kernel0", "kernel1", "kernel2", "kernel2"]
        for before, after in zip(graph.blocks, other.blocks, strict=True):
            assert (before.support is None) == (after.support is None)
            if after.support is not None and after.support.device.type != "meta":
                assert torch.equal(before.support, after.support)
    assert others[1].blocks[0].support.device.type == "meta"


def test_strengths_outside_a_support_do_not_pass_the_check():
    graph = grouped_convolutions()
    graph.check_strengths()
    full = replace(graph.blocks[0], strengths=torch.ones(6, 8))
    with pytest.raises(InputError, match="outside its support"):
        replace(graph, blocks=(full, *graph.blocks[1:])).check_strengths()


@pytest.mark.parametrize(
    ("n_layers", "pairs"),
    [
        (4, [(0, 1), (1, 2), (2, 3), (3, 0)]),
        (5, [(0, 1), (3, 4)]),
        (4, [(3, 0), (3, 1), (3, 2)]),
        (3, [(2, 1), (1, 0), (0, 1)]),
        (6, [(5, 4), (4, 3), (0, 3), (1, 0)]),
    ],
)
def test_every_block_joins_different_colors(n_layers, pairs):
    colors = joined([2] * n_layers, pairs).two_coloring()
    assert colors is not None
    assert len(colors) == n_layers
    assert set(colors) <= {0, 1}
    assert all(colors[s] != colors[t] for s, t in pairs)


@pytest.mark.parametrize("pairs", [[(0, 1), (1, 2)], TRIANGLE, [(0, 1), (1, 0)], [(0, 0), (0, 2)]])
def test_gradients_pass_through_degrees_and_product(pairs):
    graph = joined([3, 2, 4], pairs, dtype=torch.float64)
    vectors = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def function(flat):
        other = graph.with_flat_strengths(flat)
        return other.degrees() ** 2, other.product(vectors) ** 2

    flat = graph.flat_strengths().requires_grad_()
    assert torch.autograd.gradcheck(function, flat)


def test_matmul_converts_piece_by_piece_to_the_same_product():
    rng = np.random.default_rng(0)
    left = torch.tensor(rng.random((2101, 1500)), dtype=torch.float32)
    right = torch.tensor(rng.random((1500, 2)))
    torch.testing.assert_close(matmul(left, right), left.double() @ right)
    torch.testing.assert_close(transposed_matmul(left.mT, right), left.double() @ right)
    several = right.expand(3, -1, -1)
    for product in (matmul(left, several), transposed_matmul(left.mT, several)):
        torch.testing.assert_close(product, (left.double() @ right).expand(3, -1, -1))
    assert matmul(left[None], right[None]).shape == (1, 2101, 2)


@pytest.mark.parametrize("name", AWKWARD)
def test_an_unchecked_graph_is_the_same_graph(name):
    graph = AWKWARD[name]
    other = NeuronGraph.unchecked(graph.layers, graph.blocks)
    assert (other.layers, other.blocks) == (graph.layers, graph.blocks)
    assert torch.equal(other.degrees(), graph.degrees())
    assert torch.equal(other.flat_strengths(), graph.flat_strengths())


def test_to_the_same_device_is_the_graph_itself():
    graph = random_chain([2, 3])
    assert graph.to("cpu") is graph


def test_names_of_a_chain():
    names = [layer.name for layer in random_chain([2, 3]).layers]
    assert names == ["l0", "l1"]
    strengths = [torch.ones(2, 3), torch.ones(3, 1)]
    assert [x.name for x in NeuronGraph.chain(strengths).layers] == ["layer0", "layer1", "layer2"]
    named = NeuronGraph.chain(strengths, ["a", "b", "c"])
    assert named.layers[1] == Layer("b", 3)
    with pytest.raises(InputError, match="2 blocks join 3 layers, got 2 names"):
        NeuronGraph.chain(strengths, ["a", "b"])


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs_pass_the_check(name):
    assert AWKWARD[name].check_strengths() is None


@pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own use of it
def test_derivatives_of_any_kind_follow_the_degrees():
    """The degrees are linear in the strengths: the derivative along a direction is its degrees."""
    strengths, direction = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0))

    def degrees(block):
        return NeuronGraph.chain([block]).degrees(torch.float64)

    with torch.autograd.forward_ad.dual_level():
        dual = degrees(torch.autograd.forward_ad.make_dual(strengths, direction))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    expected = torch.cat([direction.double().sum(1), direction.double().sum(0)])
    torch.testing.assert_close(tangent, expected)
    torch.testing.assert_close(torch.func.jvp(degrees, (strengths,), (direction,))[1], expected)
    torch.testing.assert_close(torch.func.vmap(degrees)(direction[None])[0], expected)


def test_arrays_make_a_chain_as_tensors_do():
    strengths = [torch.rand(3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(4, 2)]
    found = NeuronGraph.chain([block.numpy() for block in strengths])
    assert torch.equal(found.degrees(), NeuronGraph.chain(strengths).degrees())


@pytest.mark.parametrize(
    "as_given",
    [
        lambda block: block[::-1][::-1][:, ::-1][:, ::-1],
        lambda block: block.astype(">f8"),
        lambda block: block.astype(np.longdouble),
        lambda block: np.asfortranarray(block),
        lambda block: np.broadcast_to(block, block.shape),  # read-only
        lambda block: np.ascontiguousarray(block[::-1])[::-1],
    ],
)
def test_arrays_of_any_layout_make_a_chain(as_given):
    block = np.random.default_rng(0).random((3, 4))
    found = NeuronGraph.chain([as_given(block)])
    np.testing.assert_array_equal(found.blocks[0].strengths.numpy(), block)
