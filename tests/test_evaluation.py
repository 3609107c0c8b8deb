import numpy as np
import pytest
import torch

from clusterability import measure, toy
from clusterability.clustering.kmeans import draw_starts, kmeans
from clusterability.clustering.refinement import refine
from clusterability.errors import InputError
from clusterability.evaluation import Draw, evaluate, evaluate_batch
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import pack
from clusterability.registries import NULLS
from clusterability.settings import Settings
from clusterability.spectral.embedding import spectral_embedding
from clusterability.workers import single_threaded_libraries
from graphs import (
    AWKWARD,
    TRIANGLE,
    joined,
    naive_adjacency,
    naive_lowest_ncut,
    naive_ncut,
    random_chain,
    side_by_side,
    triangles_and_weak_neurons,
)

GRAPH = random_chain([30, 20, 16, 6], density=0.12)


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def draws_of(n, seed=0):
    seeds = np.random.SeedSequence(seed).spawn(n)
    return [Draw(child, shuffled=i > 0) for i, child in enumerate(seeds)]


def flat(graph):
    return graph.with_flat_strengths(graph.flat_strengths().float())


@pytest.mark.slow
@pytest.mark.parametrize(
    "graph",
    [random_chain([20, 15, 8]), GRAPH, joined([9, 8, 7], TRIANGLE), side_by_side(3, 8)],
    ids=["mlp", "sparse", "triangle", "disconnected"],
)
@pytest.mark.parametrize("null", NULLS)
def test_a_batch_of_evaluations_equals_one_by_one(graph, null):
    graph, draws = flat(graph), draws_of(5)
    settings = Settings(null=null, n_clusters=3, n_init=10)
    together = evaluate_batch(graph, settings, draws, torch.device("cpu"), 2)
    for draw, batched in zip(draws, together, strict=True):
        alone = evaluate(graph, settings, draw)
        assert np.array_equal(batched.labels < 0, alone.labels < 0)
        assert batched.refined.ncut == pytest.approx(alone.refined.ncut, abs=1e-3)
        assert batched.refined.refined_ncut == pytest.approx(alone.refined.refined_ncut, abs=1e-3)
        assert set(batched.seconds) == {"shuffle", "eigenvectors", "kmeans", "refinement"}


@pytest.mark.slow
def test_a_batch_of_larger_networks_is_as_good_as_one_by_one():
    """The block iteration draws random numbers that LAPACK does not need: other starts follow."""
    graph, draws = flat(random_chain([230, 160, 20], 2, density=0.1)), draws_of(4)
    settings = Settings(n_clusters=5, n_init=20)
    together = evaluate_batch(graph, settings, draws, torch.device("cpu"), 2)
    alone = [evaluate(graph, settings, draw) for draw in draws]
    for batched, single in zip(together, alone, strict=True):
        assert batched.refined.refined_ncut == pytest.approx(single.refined.refined_ncut, abs=0.1)


def test_batches_may_be_cut_into_pieces(monkeypatch):
    graph, draws = flat(GRAPH), draws_of(5)
    settings = Settings(n_clusters=3, n_init=4)
    whole = evaluate_batch(graph, settings, draws, torch.device("cpu"), 2)
    monkeypatch.setattr("clusterability.evaluation.batch_size", lambda *_: 2)
    pieces = evaluate_batch(graph, settings, draws, torch.device("cpu"), 1)
    assert len(pieces) == 5
    for one, other in zip(whole, pieces, strict=True):
        assert one.refined.ncut == pytest.approx(other.refined.ncut, abs=1e-6)


def test_a_batch_of_a_network_with_a_single_output():
    graph, draws = flat(random_chain([12, 1])), draws_of(2)
    settings = Settings(n_clusters=2, n_init=2)
    together = evaluate_batch(graph, settings, draws, torch.device("cpu"), 1)
    for draw, batched in zip(draws, together, strict=True):
        assert np.array_equal(batched.labels, evaluate(graph, settings, draw).labels)


def both_paths(graph, settings, draws):
    """The evaluations one by one, and the same in a batch."""
    alone = [evaluate(graph, settings, draw) for draw in draws]
    return alone, evaluate_batch(graph, settings, draws, torch.device("cpu"), 1)


def refined_from_plain(graph, evaluation, k):
    degrees = graph.degrees(torch.float64).numpy()
    return refine(pack(graph), degrees, evaluation.labels, k).refined_ncut


def test_the_second_start_leads_out_of_a_bad_minimum():
    graph = flat(triangles_and_weak_neurons())
    lowest = naive_lowest_ncut(graph, 3)
    assert lowest == pytest.approx(0.975, abs=1e-3)
    draws = [Draw(seed, shuffled=False) for seed in np.random.SeedSequence(0).spawn(5)]
    for evaluations in both_paths(graph, Settings(n_clusters=3, n_init=25), draws):
        for evaluation in evaluations:
            assert refined_from_plain(graph, evaluation, 3) > 2
            assert evaluation.refined.refined_ncut == pytest.approx(lowest, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("name", AWKWARD)
def test_the_second_start_never_makes_it_worse(name, k):
    graph = flat(AWKWARD[name])
    adjacency, n_alive = naive_adjacency(graph), int((graph.degrees() > 0).sum())
    for (evaluation,) in both_paths(graph, Settings(n_clusters=k, n_init=5), draws_of(1)):
        refined = evaluation.refined
        assert refined.refined_ncut <= refined_from_plain(graph, evaluation, k)
        assert refined.ncut == pytest.approx(naive_ncut(adjacency, evaluation.labels), abs=1e-7)
        found = naive_ncut(adjacency, refined.labels)
        assert refined.refined_ncut == pytest.approx(found, abs=1e-7)
        for labels in (evaluation.labels, refined.labels):
            assert np.array_equal(labels < 0, graph.degrees().numpy() == 0)
            assert len(set(labels[labels >= 0].tolist())) == min(k, n_alive)


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_second_start_leaves_plain_kmeans_alone(shuffled):
    """Labels from the numbers that the third child of a graph's seed draws, and from no others."""
    graph, seed = flat(random_chain([60, 50, 40])), np.random.SeedSequence(5)
    shuffle, eigenvectors, clustering = map(np.random.default_rng, seed.spawn(3))
    drawn = NULLS["layer"](graph, shuffle) if shuffled else graph
    points = spectral_embedding(drawn, 7, [eigenvectors]).vectors.numpy()
    expected = kmeans(points, draw_starts(clustering, 2, 8))
    settings, draw = Settings(n_clusters=8, n_init=2), Draw(np.random.SeedSequence(5), shuffled)
    assert np.array_equal(evaluate(graph, settings, draw).labels, expected)


@pytest.mark.parametrize("weakest", [1e-12, 1e-30])
def test_nearly_dead_neurons(weakest):
    """Degrees span up to thirty orders of magnitude; a fifth of the neurons is isolated."""
    rng = np.random.default_rng(0)
    graph = random_chain([25, 20, 15], 3)
    scales = 10 ** rng.uniform(np.log10(weakest) / 2, 0, 60) * (rng.random(60) < 0.8)
    parts = np.split(torch.tensor(scales, dtype=torch.float32), graph.offsets[1:-1])
    strengths = [
        block.strengths * torch.outer(parts[block.source], parts[block.target])
        for block in graph.blocks
    ]
    graph = flat(NeuronGraph.chain(strengths))
    isolated = graph.degrees(torch.float64).numpy() == 0
    for evaluations in both_paths(graph, Settings(n_clusters=4, n_init=5), draws_of(3)):
        for evaluation in evaluations:
            refined = evaluation.refined
            assert 0 <= refined.refined_ncut <= refined.ncut <= 4
            assert len(set(refined.labels[refined.labels >= 0].tolist())) == 4
        assert np.array_equal(evaluations[0].refined.labels < 0, isolated)


@pytest.mark.parametrize(
    ("null", "reason"),
    [
        (lambda _graph, _rng: None, "returned a NoneType, expected a NeuronGraph"),
        (lambda graph, _: graph.with_flat_strengths(graph.flat_strengths() * 0), "from 0 to 0"),
        (lambda graph, _: graph.with_flat_strengths(-graph.flat_strengths()), "from -"),
        (lambda graph, _: graph.with_flat_strengths(graph.flat_strengths() / 0), "from nan|inf"),
    ],
)
def test_a_null_model_that_returns_no_graph_is_named(monkeypatch, null, reason):
    monkeypatch.setitem(NULLS, "wrong", null)
    with pytest.raises(InputError, match=rf"null model 'wrong' returned.*({reason})|{reason}"):
        measure(toy.planted_mlp(), n_clusters=2, n_shuffles=2, null="wrong")
