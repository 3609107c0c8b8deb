"""Rows of neurons that hardly have any strength: of networks trained with L2, above all."""

import numpy as np
import pytest
import scipy.linalg
import torch

from clusterability import measure
from clusterability.evaluation import Draw, evaluate_batch
from clusterability.graph import NeuronGraph
from clusterability.settings import Settings
from clusterability.spectral import weak_rows
from clusterability.spectral.embedding import spectral_embedding
from clusterability.spectral.solvers import dense, iterative
from clusterability.workers import single_threaded_libraries
from graphs import TRIANGLE, chain_of, joined, naive_adjacency, naive_normalized, random_chain


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def with_dead_neurons(graph, scale, share=0.5, seed=0, among=0.1):
    """The graph with all strengths of a share of each layer's neurons multiplied by ``scale``.

    Those between two dead neurons are multiplied by ``among`` too, so that these have little of
    their strength to themselves; with 1 they are a group with an eigenvector of its own.
    """
    rng = np.random.default_rng(seed)
    factors = [
        torch.tensor(np.where(rng.random(n) < share, scale, 1.0), dtype=torch.float64)
        for n in graph.layer_sizes
    ]
    flat = [
        (
            b.strengths
            * torch.minimum(factors[b.source][:, None], factors[b.target])
            * torch.where((factors[b.source][:, None] < 1) & (factors[b.target] < 1), among, 1.0)
        ).flatten()
        for b in graph.blocks
    ]
    dead = torch.cat(factors) < 1
    return graph.with_flat_strengths(torch.cat(flat).float()), dead.numpy()


def planted(sizes=(120, 64, 64, 60), n_groups=4, seed=0):
    """A chain whose neurons fall into groups, with strong strengths inside of these."""
    rng = np.random.default_rng(seed)
    groups = [np.arange(n) % n_groups for n in sizes]
    return chain_of(
        *(
            rng.random((len(s), len(t))) * np.where(s[:, None] == t, 1.0, 0.02)
            for s, t in zip(groups[:-1], groups[1:], strict=True)
        )
    )


def embed(graph, n_dimensions=7, solver=None):
    return spectral_embedding(graph, n_dimensions, [np.random.default_rng(0)], solver)


def violation(graph, found):
    """How far each row is from D^-1 A y = (1 - lambda) y, beside its column's largest entry."""
    adjacency = naive_adjacency(graph)
    degrees = adjacency.sum(1)
    alive = degrees > 0
    vectors, eigenvalues = found.vectors.numpy()[alive], 1 - found.eigenvalues.numpy()
    shares = adjacency[alive][:, alive] / degrees[alive, None]
    largest = np.abs(vectors).max(0)
    return (np.abs(shares @ vectors - vectors * eigenvalues) / largest).max(1)


PATHS = {
    "LAPACK": (random_chain([320, 230, 240, 210], 1), dense),
    "LAPACK in float64": (random_chain([120, 80, 70, 60], 2), dense),
    "block iteration": (random_chain([400, 260, 300, 250], 3), iterative),
    "block iteration, not two-colorable": (joined([120, 140, 130], TRIANGLE, 4), iterative),
}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-4, 1e-6, 1e-12, 1e-30])
@pytest.mark.parametrize("path", PATHS)
def test_rows_obey_the_exact_relation(path, scale):
    graph, solver = PATHS[path]
    graph, dead = with_dead_neurons(graph, scale)
    found = embed(graph, solver=solver)
    assert found.vectors[dead].abs().max() * found.degrees.sum().sqrt() < 100
    # An entry's error is some 2e-6 sqrt(volume / degree), but where it is computed anew.
    assert violation(graph, found).max() < 5e-3
    assert violation(graph, found)[dead].max() < (2e-6 if scale < 1e-4 else 5e-3)


def test_rows_equal_those_of_a_dense_solver_at_a_scale_that_it_can_resolve():
    graph = random_chain([60, 50, 40, 30], 5)
    reference, dead = with_dead_neurons(graph, 1e-6)
    adjacency = naive_adjacency(reference)
    root = np.sqrt(adjacency.sum(1))
    _, unit = scipy.linalg.eigh(naive_normalized(adjacency))
    expected = unit[:, ::-1][:, 1:8] / root[:, None]
    for scale in (1e-6, 1e-15, 1e-30):
        found = embed(with_dead_neurons(graph, scale)[0]).vectors.numpy()
        signs = np.sign((found[~dead] * expected[~dead]).sum(0))
        np.testing.assert_allclose(
            found * signs * np.linalg.norm(root),
            expected * np.linalg.norm(root),
            atol=2e-3,
        )


def test_rows_equal_a_direct_solution():
    graph, dead = with_dead_neurons(
        random_chain([300, 220, 230, 210], 6), 1e-20, share=0.7, among=0.02
    )
    found = embed(graph)
    adjacency = naive_adjacency(graph)
    shares = adjacency / adjacency.sum(1)[:, None]
    vectors = found.vectors.numpy()
    for column, eigenvalue in enumerate(1 - found.eigenvalues.numpy()):
        matrix = eigenvalue * np.eye(dead.sum()) - shares[dead][:, dead]
        direct = np.linalg.solve(matrix, shares[dead][:, ~dead] @ vectors[~dead, column])
        np.testing.assert_allclose(
            vectors[dead, column], direct, rtol=1e-6, atol=1e-6 * np.abs(direct).max()
        )


def test_plain_iteration_would_diverge_and_this_does_not():
    """Dead neurons with half of their strength among themselves, and so a leading eigenvector."""
    graph = random_chain([260, 220, 230, 210], 7)
    graph, dead = with_dead_neurons(graph, 1e-9, among=1)
    adjacency = naive_adjacency(graph)
    shares = (adjacency / adjacency.sum(1)[:, None])[dead][:, dead]
    radius = np.abs(np.linalg.eigvals(shares)).max()
    found = embed(graph)
    assert radius > 1 - found.eigenvalues[-1] > 0
    assert violation(graph, found)[dead].max() < 1e-6


def test_weak_neurons_with_an_eigenvector_to_themselves_keep_it():
    """A pair that is joined a hundred times more to each other than to the rest."""
    strengths = np.random.default_rng(8).random((30, 25))
    strengths[0], strengths[:, 0] = 1e-12, 1e-12
    strengths[0, 0] = 1e-8
    graph = chain_of(strengths)
    found = embed(graph, 4)
    pair = [0, 30]
    assert found.eigenvalues[0] < 0.1
    mass = found.vectors.numpy()[pair, 0] ** 2 * found.degrees.numpy()[pair]
    np.testing.assert_allclose(mass, 0.5, atol=1e-3)
    assert violation(graph, found)[pair].max() < 1e-5


def test_a_hierarchy_of_weak_neurons():
    """Neurons whose strengths span sixty orders of magnitude, none of them dead."""
    rng = np.random.default_rng(9)
    layers = [10.0 ** rng.uniform(-30, 0, n) for n in (40, 30, 20)]
    graph = chain_of(
        *(
            np.minimum(s[:, None], t) * rng.uniform(0.5, 1.5, (s.size, t.size))
            for s, t in zip(layers[:-1], layers[1:], strict=True)
        )
    )
    found = embed(graph)
    assert bool(torch.isfinite(found.vectors).all())
    weak = (found.degrees < weak_rows.WEAK * found.degrees.sum()).numpy()
    assert weak.sum() > 50
    assert violation(graph, found)[weak].max() < 1e-5


@pytest.mark.slow
def test_a_batch_gives_each_graph_its_own_rows():
    graph = random_chain([260, 220, 230], 10)
    alone = [with_dead_neurons(graph, scale, seed=i)[0] for i, scale in enumerate((1e-20, 1, 1e-9))]
    flat = torch.stack([g.flat_strengths() for g in alone])
    rngs = [np.random.default_rng(0) for _ in alone]
    together = spectral_embedding(graph.with_flat_strengths(flat), 7, rngs, iterative).vectors
    for i, each in enumerate(alone):
        mine = NeuronGraph(graph.layers, each.blocks)
        found = spectral_embedding(mine, 7, [np.random.default_rng(0)], iterative).vectors
        signs = (found * together[i] * together[i].new_ones(1)).sum(0).sign()
        typical = mine.degrees(torch.float64).sum().sqrt()
        torch.testing.assert_close(
            found * typical, together[i] * signs * typical, atol=5e-3, rtol=5e-3
        )


@pytest.mark.slow
@pytest.mark.parametrize("batched", [False, True])
def test_scaling_dead_neurons_further_down_changes_nothing(batched):
    found = []
    for scale in (1e-6, 1e-9, 1e-15, 1e-22, 1e-30):
        graph, _ = with_dead_neurons(planted(), scale, share=0.5)
        if batched:
            settings = Settings(n_clusters=4, n_init=25)
            draws = [Draw(np.random.SeedSequence(0), shuffled=False)] * 2
            result = evaluate_batch(graph, settings, draws, torch.device("cpu"), 1)[1]
            found.append((result.refined.ncut, result.refined.refined_ncut))
        else:
            measured = measure(graph, 4, 0)
            found.append((measured.ncut, measured.refined.ncut, measured.effective_clusters))
    np.testing.assert_allclose(found, np.broadcast_to(found[-1], np.shape(found)), atol=2e-4)
    # The planted groups, and not rounding, were clustered.
    assert found[0][0] < 1


def test_networks_without_weak_neurons_are_left_alone():
    graph = random_chain([30, 20, 10], 11)
    degrees = graph.degrees(torch.float64)
    vectors = torch.ones(60, 3, dtype=torch.float64)
    assert weak_rows.recompute_weak_rows(graph, degrees, torch.ones(3), vectors) is vectors


def test_columns_without_an_eigenvalue_stay_zero():
    graph, _ = with_dead_neurons(random_chain([40, 3], 12), 1e-12)
    found = embed(graph, 11)
    assert (found.eigenvalues[2:] == 1).all()
    assert not found.vectors[:, 2:].any()
