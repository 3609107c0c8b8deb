import numpy as np
import pytest
import scipy.sparse

from clusterability.graph.sparse import SPARSE, without_zeros
from graphs import AWKWARD, naive_adjacency, random_chain


@pytest.mark.parametrize("name", AWKWARD)
def test_rows_are_those_of_the_adjacency_matrix(name):
    flat = AWKWARD[name].flat_strengths().float()
    graph = AWKWARD[name].with_flat_strengths(flat)
    found = without_zeros(graph, 1.0)
    n = graph.n_neurons
    rows = scipy.sparse.csr_array((found.strengths, found.neighbors, found.first), shape=(n, n))
    np.testing.assert_allclose(rows.toarray(), naive_adjacency(graph), rtol=1e-6)
    assert (found.strengths > 0).all()


def test_a_graph_of_many_strengths_is_left_as_it_is():
    assert without_zeros(random_chain([40, 40, 40], density=2 * SPARSE)) is None
    assert without_zeros(random_chain([40, 40, 40], density=SPARSE / 2)) is not None
