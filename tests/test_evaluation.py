import numpy as np
import pytest
import torch

from clusterability.evaluation import Draw, evaluate, evaluate_batch
from clusterability.nulls.shuffles import NULLS
from clusterability.settings import Settings
from clusterability.workers import single_threaded_libraries
from graphs import TRIANGLE, joined, random_chain, side_by_side

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
    monkeypatch.setattr("clusterability.evaluation._batch_size", lambda *_: 2)
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
