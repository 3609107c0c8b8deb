"""Against autograd through a dense solution, finite differences, and exact eigenvalues."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from clusterability import InputError, NeuronGraph, toy
from clusterability.graph import Block, Layer
from clusterability.penalties import Eigenvalues, MeanEigenvalue
from clusterability.spectral.following import Follower
from clusterability.tracing.modules import trace_module

DENSE, FOLLOWED = 64, 0


def eigenvalues(graph):
    """All eigenvalues of L_sym, dense, differentiable in the strengths; isolated neurons have 1."""
    n = graph.n_neurons
    adjacency = torch.zeros(n, n, dtype=torch.double)
    for block in graph.blocks:
        rows = slice(graph.offsets[block.source], graph.offsets[block.source + 1])
        columns = slice(graph.offsets[block.target], graph.offsets[block.target + 1])
        placed = torch.zeros(n, n, dtype=torch.double)
        placed[rows, columns] = block.strengths.double()
        adjacency = adjacency + placed + placed.T
    degrees = adjacency.sum(1)
    alive = degrees > 0
    scale = torch.where(alive, torch.where(alive, degrees, 1).rsqrt(), 0)
    return torch.linalg.eigvalsh(torch.eye(n).double() - scale[:, None] * adjacency * scale)


def random_chain(sizes, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    options = {"dtype": torch.double, **options}
    return NeuronGraph.chain([torch.rand(p, generator=generator, **options) for p in pairs])


def random_triangle(sizes, seed=0):
    """Three layers joined each to each, and neurons joined within the first."""
    generator = torch.Generator().manual_seed(seed)
    ends = [(0, 1), (1, 2), (0, 2), (0, 0)]
    strengths = [
        torch.rand(sizes[i], sizes[j], generator=generator, dtype=torch.double) for i, j in ends
    ]
    strengths[-1] = strengths[-1].triu(1)
    layers = tuple(Layer(str(i), size) for i, size in enumerate(sizes))
    blocks = tuple(Block(*e, s) for e, s in zip(ends, strengths, strict=True))
    return NeuronGraph(layers, blocks)


def with_isolated(graph):
    """The graph without connections of the second neuron of the first two layers."""
    blocks = []
    for block in graph.blocks:
        strengths = block.strengths.clone()
        if block.source < 2:
            strengths[1] = 0
        if block.target < 2:
            strengths[:, 1] = 0
        blocks.append(replace(block, strengths=strengths))
    return replace(graph, blocks=tuple(blocks))


GRAPHS = {
    "chain": random_chain((5, 6, 4)),
    "chain with isolated neurons": with_isolated(random_chain((5, 6, 4))),
    "triangle": random_triangle((4, 5, 4)),
    "triangle with isolated neurons": with_isolated(random_triangle((4, 5, 4))),
}


@pytest.mark.parametrize("side", [DENSE, FOLLOWED])
@pytest.mark.parametrize("name", GRAPHS)
def test_value_and_gradient_are_autograds(name, side):
    graph = GRAPHS[name]
    flat = graph.flat_strengths()
    twin, ours = (flat.clone().requires_grad_() for _ in range(2))
    wanted = [2, 3, 4]
    expected = eigenvalues(graph.with_flat_strengths(twin))[[k - 1 for k in wanted]].mean()
    found = MeanEigenvalue(wanted, side)(graph.with_flat_strengths(ours))
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)
    expected.backward()
    found.backward()
    # A strength of zero at an isolated neuron has no derivative: the twin's is 0 or infinite.
    there = flat > 0
    assert torch.allclose(ours.grad[there], twin.grad[there], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("side", [DENSE, FOLLOWED])
@pytest.mark.parametrize("name", GRAPHS)
def test_gradcheck(name, side):
    graph = GRAPHS[name]
    flat = graph.flat_strengths()
    places = flat.nonzero().squeeze(1)
    mean = MeanEigenvalue([2, 3, 4], side)

    def value(strengths):
        return mean(graph.with_flat_strengths(flat.index_put((places,), strengths)))

    assert torch.autograd.gradcheck(value, flat[places].clone().requires_grad_())


REPEATED = {
    "pairs": (NeuronGraph.chain([torch.eye(5).double(), torch.eye(5).double()]), range(2, 6)),
    "two copies": (
        NeuronGraph.chain(
            [torch.block_diag(s, s) for s in (random_chain((4, 5)).blocks[0].strengths,)]
        ),
        [2, 3, 4],
    ),
    "planted": (toy.planted_mlp((4, 4, 4), between=0.2), [2]),
    "planted triangle": (toy.planted_triangle(4), [2]),
    "complete": (
        NeuronGraph((Layer("a", 7),), (Block(0, 0, torch.ones(7, 7).triu(1)),)),
        range(2, 8),
    ),
}
"""Graphs with equal eigenvalues, and eigenvalues that take each group whole."""


@pytest.mark.slow
@pytest.mark.parametrize("side", [DENSE, FOLLOWED])
@pytest.mark.parametrize("name", REPEATED)
def test_gradcheck_with_whole_groups_of_equal_eigenvalues(name, side):
    graph, wanted = REPEATED[name]
    flat = graph.flat_strengths().double()
    places = flat.nonzero().squeeze(1)
    mean = MeanEigenvalue(list(wanted), side)

    def value(strengths):
        return mean(graph.with_flat_strengths(flat.index_put((places,), strengths)))

    assert torch.autograd.gradcheck(value, flat[places].clone().requires_grad_(), atol=1e-4)


NETWORKS = {
    "MLP": (torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Linear(20, 20)), None),
    "CNN": (toy.planted_cnn((3, 6, 8, 4)), (torch.zeros(1, 3, 8, 8).double(),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_is_of_finite_differences(name):
    """Through the wiring, by SciPy, at weights drawn at random."""
    network, inputs = NETWORKS[name]
    traced = trace_module(network.double(), inputs)
    weights = [traced.parameters[name] for name in traced.wiring.parameter_names]
    drawn = np.random.default_rng(0).standard_normal(sum(w.numel() for w in weights))

    def mean_at(values):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(values), weights)
        return MeanEigenvalue([2, 3])(traced.wiring.strengths(traced.parameters))

    mean_at(drawn).backward()
    ours = np.concatenate([w.grad.flatten().numpy() for w in weights])
    chosen = np.random.default_rng(1).choice(len(drawn), 30, replace=False)

    def at_chosen(values):
        moved = drawn.copy()
        moved[chosen] = values
        return mean_at(moved).item()

    expected = approx_fprime(drawn[chosen], at_chosen, 1e-6)
    np.testing.assert_allclose(ours[chosen], expected, atol=1e-6)


def stacked_kernels(n_runs=3, sizes=(40, 30, 20, 10)):
    generator = torch.Generator().manual_seed(0)
    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    return {str(i): torch.randn(n_runs, *p, generator=generator) for i, p in enumerate(pairs)}


def value_and_gradients(kernels):
    penalty, gradients = Eigenvalues(list(kernels), 0.5, [2, 3, 4]), zeros(kernels)
    penalty.add_gradient(kernels, gradients)
    return penalty.value(kernels), gradients


def zeros(kernels):
    return {name: torch.zeros_like(kernel) for name, kernel in kernels.items()}


def test_runs_of_a_stack_are_as_each_alone():
    kernels = stacked_kernels()
    value, gradients = value_and_gradients(kernels)
    graph = NeuronGraph.chain([kernel[1].abs().T for kernel in kernels.values()])
    assert value[1].item() == pytest.approx(0.5 * eigenvalues(graph)[1:4].mean().item(), abs=1e-5)
    for run in range(3):
        alone_value, alone = value_and_gradients({n: k[run : run + 1] for n, k in kernels.items()})
        assert value[run].item() == pytest.approx(alone_value.item(), abs=1e-5)
        for name in kernels:
            assert torch.allclose(gradients[name][run], alone[name][0], atol=1e-5)


@pytest.mark.parametrize("weight", [torch.nan, torch.inf])
def test_a_run_that_is_not_finite_leaves_the_others(weight):
    kernels = stacked_kernels()
    value, gradients = value_and_gradients(kernels)
    kernels["1"][1, 2, 3] = weight
    spoiled_value, spoiled = value_and_gradients(kernels)
    assert spoiled_value[1].isnan()
    assert spoiled["0"][1].isnan().all()
    for run in (0, 2):
        assert spoiled_value[run].item() == pytest.approx(value[run].item(), abs=1e-5)
        assert torch.allclose(spoiled["0"][run], gradients["0"][run], atol=1e-5)


def test_a_run_of_zeros_leaves_the_others():
    kernels = stacked_kernels()
    for kernel in kernels.values():
        kernel[0] = 0
    value, gradients = value_and_gradients(kernels)
    assert value.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all((gradient[0] == 0).all() for gradient in gradients.values())


@pytest.mark.slow
def test_eigenvalues_are_followed_where_masks_change():
    """Within 1e-3 of the exact ones throughout, as weights move and more of them are pruned."""
    generator = torch.Generator().manual_seed(1)
    sizes = (120, 64, 64, 64, 10)
    weights = [torch.randn(p, generator=generator) for p in zip(sizes, sizes[1:], strict=False)]
    follower = Follower(12)
    for step in range(60):
        moves = [0.02 * torch.randn(w.shape, generator=generator) for w in weights]
        weights = [torch.where(w == 0, 0, w + m) for w, m in zip(weights, moves, strict=True)]
        if step >= 10 and step % 10 == 0:
            share = 0.4 + step / 125
            weights = [w * (w.abs() > w.abs().quantile(share)) for w in weights]
        graph = NeuronGraph.chain([w.abs() for w in weights])
        exact = eigenvalues(graph)[:12].float()
        assert torch.allclose(follower(graph).values, exact[1:], atol=1e-3, rtol=0), step


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([1, 2], "the first eigenvalue is always zero"),
        ([], "expected indices such as"),
        ("2-4", "expected indices such as"),
        ([2, 2], "expected each index once"),
        ([2.5], "expected a whole number"),
    ],
)
def test_bad_indices(wanted, message):
    with pytest.raises(InputError, match=message):
        MeanEigenvalue(wanted)


def test_too_few_neurons():
    with pytest.raises(InputError, match="the graph has 6 neurons; ask for eigenvalues up to 6"):
        MeanEigenvalue([2, 7])(toy.two_triangles())
    with pytest.raises(InputError, match="only 10 eigenvalues of this graph are below 1"):
        MeanEigenvalue([12])(NeuronGraph.chain([torch.rand(100, 10)]))


def test_a_lazy_gradient_comes_at_some_steps_so_many_times_as_large():
    kernels = stacked_kernels()
    once, lazy = (Eigenvalues(list(kernels), 0.5, [2, 3, 4], every=every) for every in (1, 3))
    for step in range(4):
        gradients = [{n: torch.zeros_like(k) for n, k in kernels.items()} for _ in range(2)]
        once.add_gradient(kernels, gradients[0])
        lazy.add_gradient(kernels, gradients[1])
        for name in kernels:
            expected = gradients[0][name] * (3 if step % 3 == 0 else 0)
            torch.testing.assert_close(gradients[1][name], expected, atol=1e-5, rtol=1e-4)
        kernels = {name: 1.5 * k + 0.1 * k.square() for name, k in kernels.items()}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_steps_are_those_of_tensors(dtype):
    """From one start, on blocks whose memory the compiled loops cannot take."""
    generator = torch.Generator().manual_seed(3)
    sizes = (90, 41, 37, 22)
    kernels = [
        torch.rand(2, n_out, n_in, generator=generator, dtype=dtype)
        for n_in, n_out in zip(sizes, sizes[1:], strict=False)
    ]
    kernels[1][1, 5] = 0
    compiled, plain = Follower(10), Follower(10)
    for step in range(3):
        strengths = [kernel.mT for kernel in kernels]
        graph = NeuronGraph.chain(strengths)
        apart = NeuronGraph.chain([torch.stack([s, s], -1)[..., 0] for s in strengths])
        first, second = compiled(graph), plain(apart)
        tolerance = 2e-5 if dtype == torch.float32 else 1e-9
        assert torch.allclose(first.values, second.values, atol=tolerance, rtol=0), step
        squares = [found.rows.square().sum(-2) for found in (first, second)]
        assert torch.allclose(*squares, atol=20 * tolerance, rtol=20 * tolerance), step
        kernels = [(k + 0.01 * k.square()).clamp_max(1) for k in kernels]


def test_neurons_that_come_alive_are_followed():
    """A start that is 0 in a part of the graph would stay so for ever."""
    whole = NeuronGraph.chain(
        [torch.block_diag(torch.rand(9, 9), torch.rand(9, 9)).double() for _ in range(3)]
    )
    asleep = [replace(block, strengths=block.strengths.clone()) for block in whole.blocks]
    for block in asleep:
        block.strengths[9:, 9:] = 0
    follower = Follower(4, dense_side=0)
    follower(replace(whole, blocks=tuple(asleep)))
    found = follower(whole).values
    torch.testing.assert_close(found, eigenvalues(whole)[1:4], atol=1e-6, rtol=0)


def test_strengths_whose_sum_overflows_are_no_numbers():
    graph = random_chain((40, 30, 30), dtype=torch.float)
    huge = graph.with_flat_strengths(graph.flat_strengths() * 1e36)
    assert bool(Follower(3, dense_side=0)(huge).values.isnan().all())
    stacked = graph.with_flat_strengths(
        torch.stack([graph.flat_strengths() * s for s in (1, 1e36)])
    )
    values = Follower(3, dense_side=0)(stacked).values
    torch.testing.assert_close(values[0].double(), eigenvalues(graph)[1:3], atol=1e-5, rtol=0)
