import numpy as np
import pytest
import torch
from torch import nn

from clusterability import InputError, NeuronGraph, balance_, measure, neuron_graph, toy
from clusterability.graph.blocks import Block, Layer
from clusterability.graph.canonical import canonical, connected_through, ties
from clusterability.promoting import HiddenScales


def random_chain(seed, sizes=(6, 9, 8, 7, 4), density=0.6):
    rng = np.random.default_rng(seed)
    blocks = [
        torch.tensor(rng.lognormal(0, 2, shape) * (rng.random(shape) < density))
        for shape in zip(sizes, sizes[1:], strict=False)
    ]
    return NeuronGraph.chain(blocks)


def naive_canonical(graph, n_sweeps=3000):
    """The blocks of a chain, neuron by neuron; those without a path lose their strengths."""
    blocks = [block.strengths.double().numpy().copy() for block in graph.blocks]
    for _ in graph.layers:
        for before, after in zip(blocks, blocks[1:], strict=False):
            for n in range(len(after)):
                if not before[:, n].any() or not after[n].any():
                    before[:, n], after[n] = 0, 0
    for _ in range(n_sweeps):
        for before, after in zip(blocks, blocks[1:], strict=False):
            for n in range(len(after)):
                if before[:, n].any():
                    c = np.sqrt(after[n].sum() / before[:, n].sum())
                    before[:, n] *= c
                    after[n] /= c
    return blocks


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "density"), [(0, 1.0), (1, 0.5), (2, 0.25)])
def test_a_chain_is_scaled_as_neuron_by_neuron(seed, density):
    graph = random_chain(seed, density=density)
    scaled = canonical(graph, ties(graph))
    for block, expected in zip(scaled.blocks, naive_canonical(graph), strict=True):
        np.testing.assert_allclose(block.strengths.numpy(), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("density", [1.0, 0.5])
def test_any_rescaling_of_hidden_neurons_leaves_it(density):
    graph = random_chain(3, density=density)
    rng, blocks = np.random.default_rng(1), [b.strengths.clone() for b in graph.blocks]
    for before, after in zip(blocks, blocks[1:], strict=False):
        factors = torch.tensor(rng.lognormal(0, 3, len(after)))
        before *= factors
        after /= factors[:, None]
    other = NeuronGraph.chain(blocks)
    one, two = (canonical(g, ties(g)).flat_strengths() for g in (graph, other))
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-12)


def test_blocks_of_a_chain_have_equal_totals_and_products_stay():
    graph = random_chain(4, density=1.0)
    scaled = canonical(graph, ties(graph))
    totals = [float(block.strengths.sum()) for block in scaled.blocks]
    assert totals == pytest.approx([totals[0]] * 4, rel=1e-7)
    products = [
        torch.linalg.multi_dot([block.strengths for block in g.blocks]) for g in (graph, scaled)
    ]
    torch.testing.assert_close(*products)


def test_dead_ends_are_removed_one_after_the_other():
    # 0 -> 0 -> 0 is a path; neuron 1 of the second layer leads to a neuron that leads nowhere.
    first = torch.tensor([[1.0, 4.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    third = torch.tensor([[1.0], [0.0]])
    graph = NeuronGraph.chain([first, second, third])
    assert connected_through(graph).tolist() == [True, True, False, True, False, True]
    assert canonical(graph, ties(graph)).degrees().tolist() == [1, 2, 0, 2, 0, 1]


def test_copies_of_a_kernel_tie_neurons():
    graph = toy.residual_chain()
    tied = ties(graph)
    pieces = dict(zip([layer.name for layer in graph.layers], tied.groups.split(4), strict=True))
    assert torch.equal(pieces["stream0"], pieces["stream2"])
    assert not torch.equal(pieces["stream0"], pieces["hidden0"])
    assert (pieces["input"] == -1).all()
    assert (pieces["output"] == -1).all()


def test_graphs_without_direction_are_refused():
    with pytest.raises(InputError, match=r"within 'all' lies on a loop, .* use scaling='raw'"):
        measure(toy.two_triangles(), n_clusters=2, n_shuffles=0, scaling="canonical")
    ring = tuple(Block(i, (i + 1) % 3, torch.ones(2, 2)) for i in range(3))
    graph = NeuronGraph(tuple(Layer(f"{i}", 2) for i in range(3)), ring)
    with pytest.raises(InputError, match="lies on a loop"):
        ties(graph)


def test_a_network_without_paths_is_refused():
    graph = NeuronGraph.chain([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0], [1.0]])])
    with pytest.raises(InputError, match=r"0 neurons on a path of non-zero weights .* n_clusters"):
        measure(graph, n_clusters=2, n_shuffles=0, scaling="canonical")


def small_mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 6)
    )


def measured(model, **choices):
    return measure(model, n_clusters=4, **{"n_shuffles": 5, "scaling": "canonical"} | choices)


@pytest.mark.slow
@pytest.mark.parametrize("isolated", ["drop-first", "drop-after"])
def test_the_ncut_is_that_of_any_rescaled_network(isolated):
    model = small_mlp()
    with torch.no_grad():
        model[0].weight[3] = 0
        model[2].weight[:, 5] = 0
    found = measured(model, isolated=isolated)
    assert found.ncut != measured(model, isolated=isolated, scaling="raw").ncut
    for seed in range(3):
        scales = HiddenScales(model)
        drawn = torch.randn(scales.n_groups, generator=torch.Generator().manual_seed(seed))
        scales.apply_(drawn.double().exp())
        again = measured(model, isolated=isolated)
        assert again.ncut == pytest.approx(found.ncut, abs=1e-5)
        assert again.refined.ncut == pytest.approx(found.refined.ncut, abs=1e-5)
    assert found.labels.tolist().count(-1) == 2


@pytest.mark.slow
def test_balancing_a_whole_network_makes_its_graph_canonical():
    model = small_mlp()
    found = measured(model, n_shuffles=0)
    balance_(model)
    assert measured(model, n_shuffles=0, scaling="raw").ncut == pytest.approx(found.ncut, abs=1e-5)
    residual = toy.ResidualMLP(between=0.3)
    with torch.no_grad():
        for weight in residual.parameters():
            weight += 0.3 * torch.rand(weight.shape)
    graph = neuron_graph(residual)
    balance_(residual)
    expected = neuron_graph(residual).flat_strengths()
    torch.testing.assert_close(
        canonical(graph, ties(graph)).flat_strengths(), expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_shuffles_are_scaled_too():
    model = small_mlp()
    raw, scaled = measured(model, scaling="raw", seed=2), measured(model, seed=2)
    assert scaled.plain.null.values != raw.plain.null.values
    assert scaled.settings.choices()["scaling"] == "canonical"
    assert len({round(v, 6) for v in scaled.plain.null.values}) == 5
