import numpy as np
import pytest
import scipy.sparse
import torch

from clusterability.graph.sparse import SPARSE, without_zeros
from graphs import AWKWARD, naive_adjacency, random_chain

# Strengths are read 64 at a time.
GRAPHS = {**AWKWARD, "words": random_chain([3, 1, 63, 64, 65, 127, 128, 129], density=0.4)}


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_are_those_of_the_adjacency_matrix(name):
    flat = GRAPHS[name].flat_strengths().float()
    graph = GRAPHS[name].with_flat_strengths(flat)
    found = without_zeros(graph, 1.0)
    n = graph.n_neurons
    rows = scipy.sparse.csr_array((found.strengths, found.neighbors, found.first), shape=(n, n))
    np.testing.assert_allclose(rows.toarray(), naive_adjacency(graph), rtol=1e-6)
    assert (found.strengths > 0).all()
    np.testing.assert_allclose(found.degrees(), naive_adjacency(graph).sum(1), rtol=1e-6)


def test_a_graph_of_many_strengths_is_left_as_it_is():
    assert without_zeros(random_chain([40, 40, 40], density=2 * SPARSE)) is None
    assert without_zeros(random_chain([40, 40, 40], density=SPARSE / 2)) is not None


def test_strengths_that_do_not_lie_side_by_side():
    graph = random_chain([30, 80, 70], density=0.2)
    graph = graph.with_flat_strengths(graph.flat_strengths().float())
    apart = torch.stack([graph.flat_strengths(), torch.full_like(graph.flat_strengths(), 9)], -1)
    found, expected = without_zeros(graph.with_flat_strengths(apart[:, 0])), without_zeros(graph)
    for name in ("first", "neighbors", "strengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
