import itertools

import numpy as np
import pytest
import scipy.linalg
import torch

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.graph.sparse import without_zeros
from clusterability.spectral import filtering
from clusterability.spectral.degrees import fast_degrees
from clusterability.spectral.embedding import eigenproblem, inverse_root, spectral_embedding
from clusterability.spectral.solvers import dense, filtered, iterative
from clusterability.workers import single_threaded_libraries
from graphs import (
    AWKWARD,
    TRIANGLE,
    chain_of,
    joined,
    low_rank,
    naive_adjacency,
    naive_normalized,
    random_chain,
    side_by_side,
    uneven,
)


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def embed(graph, n_dimensions=11, seed=0, solver=None, sparse=None):
    return spectral_embedding(graph, n_dimensions, [np.random.default_rng(seed)], solver, sparse)


def from_noise(problem, *arguments):
    """Solve iteratively, without a start from the graph of layers."""
    problem.start = lambda noise: noise
    return iterative(problem, *arguments)


def naive_eigenvalues(graph, n_dimensions):
    """From the second on; those of M that are not positive count as 0."""
    values = 1 - scipy.linalg.eigvalsh(naive_normalized(naive_adjacency(graph)))[::-1]
    return np.minimum(values[1 : n_dimensions + 1], 1)


def check(graph, n_dimensions=11, solver=None, sparse=None):
    """Eigenvalues, scaling, residuals and subspaces against SciPy's dense solver."""
    found = embed(graph, n_dimensions, solver=solver, sparse=sparse)
    values, vectors, degrees = (
        x.numpy() for x in (found.eigenvalues, found.vectors, found.degrees)
    )
    n = graph.n_neurons
    n_found = values.size
    assert vectors.shape == (n, n_found)
    assert found.eigenvalues.dtype == found.vectors.dtype == torch.float64

    assert (np.diff(values, prepend=0) >= 0).all()
    adjacency = naive_adjacency(graph)
    expected = naive_eigenvalues(graph, n_dimensions)
    n_both = min(n_found, expected.size)
    np.testing.assert_allclose(values[:n_both], expected[:n_both], atol=1e-6)
    np.testing.assert_allclose(expected[n_both:], 1, atol=1e-6)
    np.testing.assert_allclose(values[n_both:], 1, atol=1e-6)

    np.testing.assert_allclose(degrees, adjacency.sum(1), rtol=1e-12)
    assert not vectors[degrees == 0].any()
    positive = values < 1
    assert not vectors[:, ~positive].any()
    unit = (vectors * np.sqrt(degrees)[:, None])[:, positive]
    np.testing.assert_allclose(unit.T @ unit, np.eye(unit.shape[1]), atol=1e-6)
    np.testing.assert_allclose(unit.T @ np.sqrt(degrees), 0, atol=1e-6 * np.sqrt(degrees.sum()))

    alive = degrees > 0
    normalized = naive_normalized(adjacency)
    image = normalized @ unit[alive]
    np.testing.assert_allclose(image, unit[alive] * (1 - values[positive]), atol=2e-4)

    # Single vectors are arbitrary where eigenvalues repeat: spans up to each clear gap are not.
    _, dense = scipy.linalg.eigh(normalized)
    trivial = np.sqrt(degrees[alive] / degrees.sum())[:, None]
    own = np.hstack([trivial, unit[alive]])
    for j in range(1, unit.shape[1]):
        if values[j] - values[j - 1] > 1e-3:
            leading = dense[:, ::-1][:, : j + 1]
            inside = leading @ (leading.T @ own[:, : j + 1])
            np.testing.assert_allclose(inside, own[:, : j + 1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n_dimensions", [1, 4, 11])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs_equal_scipy(name, n_dimensions):
    check(AWKWARD[name], n_dimensions)


def communities(n_layers, n_parts, size, background):
    """Each layer joined to each other; parts of each, joined more than the rest."""
    part = np.repeat(np.arange(n_parts), size)
    strengths = torch.tensor(background + (part[:, None] == part), dtype=torch.float32)
    layers = tuple(Layer(f"l{i}", part.size) for i in range(n_layers))
    pairs = itertools.combinations(range(n_layers), 2)
    return NeuronGraph(layers, tuple(Block(s, t, strengths * (s + t)) for s, t in pairs))


LARGER = {
    "mlp": random_chain([300, 80, 70, 10]),
    "sparse mlp": random_chain([300, 90, 80, 10], 1, density=0.03),
    "beyond float64": random_chain([260, 230, 240], 2),
    "beyond float64, sparse": random_chain([260, 250, 240], 3, density=0.015),
    "784 x 10": random_chain([784, 10], 4),
    "disconnected": side_by_side(6, 25),
    "copies": side_by_side(9, 25, distinct=False),
    "rank one": low_rank(210, 220, 1),
    "rank three": low_rank(220, 210, 3),
    "mostly isolated": random_chain([210, 215], 5, density=0.0004),
    "triangle": joined([70, 90, 80], TRIANGLE, 6),
    "sparse triangle": joined([90, 80, 70], TRIANGLE, 7, density=0.03),
    "triangle, all equal": communities(3, 1, 80, 0.0),
    "triangle of communities": communities(3, 8, 10, 0.5),
    "five layers of communities": communities(5, 16, 6, 0.1),
    "uneven": uneven([120, 210, 110]),
    "matching": chain_of(np.diag(np.arange(1.0, 206))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", {**LARGER, **AWKWARD})
def test_degrees_in_one_pass_equal_those_of_the_adjacency_matrix(name):
    graph = {**LARGER, **AWKWARD}[name]
    expected = naive_adjacency(graph).sum(1)
    np.testing.assert_allclose(fast_degrees(graph, torch.float64).numpy(), expected, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_larger_graphs_equal_scipy(name):
    check(LARGER[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", {**LARGER, **AWKWARD})
def test_the_block_iteration_equals_scipy(name):
    check({**LARGER, **AWKWARD}[name], solver=iterative)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["triangle", "sparse triangle", "triangle of communities", "five layers of communities"]
)
def test_the_block_iteration_from_noise_alone_equals_scipy(name):
    check(LARGER[name], solver=from_noise)


def pruned(sizes, density, seed=0, equal=False):
    graph = random_chain(sizes, seed, density)
    strengths = graph.flat_strengths()
    return graph.with_flat_strengths((strengths > 0).float() if equal else strengths)


def one_row_dense():
    graph = pruned([300, 210, 220, 10], 0.03)
    graph.blocks[1].strengths[3] = 1.0
    return graph


def with_an_empty_block():
    graph = pruned([300, 210, 220, 30, 300], 0.05)
    graph.blocks[2].strengths[:] = 0
    return graph


EDGES = {
    "pruned": pruned([300, 210, 220, 10], 0.05),
    "communities": side_by_side(4, 60),
    "one row dense": one_row_dense(),
    "all strengths equal": pruned([300, 210, 220, 10], 0.05, equal=True),
    "empty block": with_an_empty_block(),
    "one component a neuron": chain_of(np.eye(230)),
    "copies of pairs": chain_of(np.kron(np.diag(np.arange(1, 116)), np.ones((2, 2)))),
    "large strengths": chain_of(1e30 * pruned([230, 220], 0.05).blocks[0].strengths.numpy()),
    "small strengths": chain_of(1e-30 * pruned([230, 220], 0.05).blocks[0].strengths.numpy()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", {**LARGER, **EDGES})
def test_products_with_the_entries_alone_equal_scipy(name):
    graph = {**LARGER, **EDGES}[name]
    check(graph, sparse=without_zeros(graph, 1.0))


def factor_of(graph):
    degrees = graph.degrees(torch.float64)
    problem = eigenproblem(graph, degrees, without_zeros(graph, 1.0))
    return problem, problem.trivial.float().numpy()


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("pruned", True),
        ("communities", True),  # whose first four are set aside, far above the eleventh
        ("one row dense", True),
        ("all strengths equal", True),
        ("large strengths", True),
        ("one component a neuron", False),
        ("copies of pairs", False),
        ("rank three", False),
        ("rank one", False),
        ("mostly isolated", False),
    ],
)
def test_another_solver_decides_where_eigenvalues_repeat_or_are_too_few(name, is_found):
    problem, trivial = factor_of({**LARGER, **EDGES}[name])
    start = np.random.default_rng(0).standard_normal((problem.size, 16), dtype=np.float32)
    found = filtering.largest_eigenvectors(problem.factor, trivial, start, 11)
    assert (found is not None) == is_found


@pytest.mark.parametrize("n_wanted", [1, 11, 12, 30])
def test_the_filter_finds_the_span_that_lapack_finds(n_wanted):
    graph = EDGES["pruned"]
    problem, _ = factor_of(graph)
    rngs = [np.random.default_rng(0)]
    ours, theirs = (
        problem.finish(solve(problem, n_wanted, torch.float32, rngs)) for solve in (filtered, dense)
    )
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=0)
    signs = (ours[1] * theirs[1]).sum(0).sign()
    torch.testing.assert_close(ours[1] * signs, theirs[1], atol=2e-4, rtol=0)


def test_a_start_from_the_layers_saves_products_where_blocks_are_even():
    sizes, pairs = [120] * 8, list(itertools.combinations(range(8), 2))[::2]
    graph = joined(sizes, pairs, 10)
    even = graph.with_flat_strengths(graph.flat_strengths() * 0.1 + 1)
    assert n_products(even, iterative) < n_products(even, from_noise)


def n_products(graph, solver):
    """Number of products with the matrix until a solver has two eigenvectors."""
    counts = itertools.count()

    def counting(problem, *arguments):
        apply = problem.apply

        def counted(vectors):
            next(counts)
            return apply(vectors)

        problem.apply = counted
        return solver(problem, *arguments)

    embed(graph, 2, solver=counting)
    return next(counts)


@pytest.mark.slow
@pytest.mark.parametrize("side", [191, 192, 193, 207, 208, 209, 223, 224, 225])
def test_the_block_iteration_at_the_smallest_sides_that_it_takes(side):
    check(random_chain([side, side + 20], side, density=0.1), solver=iterative)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [dense, iterative])
@pytest.mark.parametrize("n_live", [2, 3, 4, 8, 12])
@pytest.mark.parametrize("size", [20, 150, 240])
def test_few_live_neurons_among_isolated(size, n_live, solver):
    """As a shuffle of a pruned network may be: fewer positive eigenvalues than are wanted."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        strengths = np.zeros((size, size + 5))
        kept = rng.random((n_live, n_live)) < 4 / n_live
        strengths[:n_live, :n_live] = (rng.random((n_live, n_live)) + 0.1) * kept
        check(chain_of(strengths), solver=solver)


@pytest.mark.parametrize("name", ["mlp", "beyond float64", "triangle"])
def test_both_solvers_span_the_same(name):
    graph = LARGER[name]
    direct, iterated = embed(graph, solver=dense), embed(graph, solver=iterative)
    torch.testing.assert_close(direct.eigenvalues, iterated.eigenvalues, atol=1e-7, rtol=0)
    overlap = direct.vectors.mT @ (iterated.vectors * iterated.degrees[:, None])
    assert torch.linalg.svdvals(overlap).min() > 1 - 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mlp", "sparse mlp", "beyond float64", "sparse triangle", "uneven"]
)
def test_a_batch_equals_one_by_one(name):
    graph = LARGER[name]
    rng = np.random.default_rng(0)
    flat = graph.flat_strengths()
    shuffled = [flat, *(flat[torch.from_numpy(rng.permutation(flat.numel()))] for _ in range(2))]
    batch = graph.with_flat_strengths(torch.stack(shuffled))
    together = spectral_embedding(batch, 7, [np.random.default_rng(i) for i in range(3)])
    assert together.vectors.shape == (3, graph.n_neurons, 7)
    for i, strengths in enumerate(shuffled):
        alone = embed(graph.with_flat_strengths(strengths), 7)
        torch.testing.assert_close(together.degrees[i], alone.degrees)
        np.testing.assert_allclose(together.eigenvalues[i], alone.eigenvalues, atol=1e-6)
        expected = naive_eigenvalues(graph.with_flat_strengths(strengths), 7)
        np.testing.assert_allclose(together.eigenvalues[i], expected, atol=1e-6)
        weighted = together.vectors[i] * alone.degrees[:, None]
        gram = together.vectors[i].mT @ weighted
        np.testing.assert_allclose(gram, np.diag(alone.eigenvalues < 1), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "solver"), [((9, 8), dense), ((1000, 995), dense), ((1001, 1002), iterative)]
)
def test_the_size_chooses_the_solver(sizes, solver):
    graph = random_chain(sizes)
    assert torch.equal(embed(graph).vectors, embed(graph, solver=solver).vectors)


@pytest.mark.parametrize("name", ["mlp", "triangle"])
def test_the_dense_solver_takes_a_batch(name):
    graph = LARGER[name]
    batch = graph.with_flat_strengths(graph.flat_strengths().expand(2, -1))
    rngs = [np.random.default_rng(i) for i in range(2)]
    found = spectral_embedding(batch, 7, rngs, dense).eigenvalues
    np.testing.assert_allclose(found, [naive_eigenvalues(graph, 7)] * 2, atol=1e-6)


def test_a_batch_of_one_keeps_its_axis():
    graph = random_chain([9, 8])
    batch = graph.with_flat_strengths(graph.flat_strengths()[None])
    found = spectral_embedding(batch, 3, [np.random.default_rng(0)])
    assert found.eigenvalues.shape == (1, 3)
    torch.testing.assert_close(found.eigenvalues[0], embed(graph, 3).eigenvalues)


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e12])
@pytest.mark.parametrize("name", ["mlp", "beyond float64", "triangle"])
def test_scaling_all_strengths_changes_nothing(name, factor):
    graph = LARGER[name]
    scaled = graph.with_flat_strengths(graph.flat_strengths() * factor)
    np.testing.assert_allclose(embed(scaled).eigenvalues, embed(graph).eigenvalues, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("solver", [dense, iterative])
def test_other_floats(dtype, solver):
    check(random_chain([220, 210], 9, dtype=dtype), solver=solver)


def test_a_component_more_is_a_zero_more():
    for n_parts in (2, 3, 5):
        eigenvalues = embed(side_by_side(n_parts, 6), 7).eigenvalues
        assert int((eigenvalues < 1e-9).sum()) == n_parts - 1


def test_nothing_is_left_of_a_single_pair_of_layers_with_one_neuron():
    found = embed(chain_of([[1.0, 2.0, 3.0]]))
    assert found.eigenvalues.shape == (0,)
    assert found.vectors.shape == (4, 0)
    torch.testing.assert_close(found.degrees, torch.tensor([6.0, 1, 2, 3], dtype=torch.float64))


def test_the_same_generator_gives_the_same_bits():
    first, second = (embed(LARGER["beyond float64"], solver=iterative) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)


def test_an_isolated_neuron_has_no_gradient():
    degrees = torch.tensor([0.0, 4.0], requires_grad=True)
    roots = inverse_root(degrees)
    roots.sum().backward()
    assert roots.tolist() == [0.0, 0.5]
    assert degrees.grad.tolist() == [0.0, -0.0625]


def test_the_graph_is_left_as_it_was():
    graph = random_chain([40, 30])
    before = graph.flat_strengths()
    embed(graph)
    assert torch.equal(graph.flat_strengths(), before)
    assert isinstance(graph, NeuronGraph)


def test_one_generator_a_graph_and_one_leading_axis():
    graph = NeuronGraph.chain([torch.ones(2, 3, 4, 5), torch.ones(2, 3, 5, 4)])
    rngs = [np.random.default_rng(0)] * 6
    with pytest.raises(InputError, match=r"leading axes \(2, 3\), expected at most one"):
        spectral_embedding(graph, 2, rngs)
    with pytest.raises(InputError, match="6 generators, expected 1, one a graph"):
        spectral_embedding(NeuronGraph.chain([torch.ones(4, 5)]), 2, rngs)
