import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from clusterability.graph.packed import count_components, pack, span
from graphs import AWKWARD, TRIANGLE, joined, naive_adjacency, random_chain, side_by_side


def expected_components(graph):
    adjacency = naive_adjacency(graph)
    alive = adjacency.sum(1) > 0
    if not alive.any():
        return 0
    return connected_components(sp.csr_array(adjacency[alive][:, alive]))[0]


@pytest.mark.parametrize("name", AWKWARD)
def test_components_of_awkward_graphs(name):
    assert count_components(pack(AWKWARD[name])) == expected_components(AWKWARD[name])


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(
    sizes=st.lists(st.integers(1, 14), min_size=2, max_size=5),
    density=st.floats(0, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_components_of_sparse_chains(sizes, density, seed):
    graph = random_chain(sizes, seed, density)
    assert count_components(pack(graph)) == expected_components(graph)


@settings(deadline=None, max_examples=40)
@given(density=st.floats(0, 0.4), seed=st.integers(0, 2**32 - 1))
def test_components_where_layers_form_a_circle(density, seed):
    graph = joined([6, 5, 7, 4], [*TRIANGLE, (3, 1)], seed, density)
    assert count_components(pack(graph)) == expected_components(graph)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(density=st.floats(0, 0.3), seed=st.integers(0, 2**32 - 1))
def test_components_where_layers_are_joined_to_themselves(density, seed):
    graph = joined([9, 5, 6], [(0, 0), (1, 2), (2, 2), (0, 1)], seed, density)
    assert count_components(pack(graph)) == expected_components(graph)


def test_separate_parts_and_a_graph_of_zeros():
    assert count_components(pack(side_by_side(5, 4))) == 5
    assert count_components(pack(random_chain([4, 5], density=0.0))) == 0


@pytest.mark.parametrize("name", AWKWARD)
def test_spans_are_rows_of_the_adjacency(name):
    graph = AWKWARD[name]
    packed = pack(graph)
    rebuilt = np.zeros((graph.n_neurons, graph.n_neurons))
    starts = packed.touching_offsets
    pairs = [
        (i, e) for i in range(len(starts) - 1) for e in packed.touching[starts[i] : starts[i + 1]]
    ]
    for layer, end in pairs:
        for neuron in range(packed.offsets[layer], packed.offsets[layer + 1]):
            first, count, position, step = span.py_func(packed.table, end, neuron)
            row = packed.strengths[position : position + (count - 1) * step + 1 : step]
            rebuilt[neuron, first : first + count] += row
    np.testing.assert_allclose(rebuilt, naive_adjacency(graph), rtol=1e-6)


def test_every_block_touches_its_layers_with_two_ends():
    packed = pack(joined([2, 3, 4], [(0, 1), (2, 0)]))
    assert packed.touching.tolist() == [0, 3, 1, 2]
    assert packed.touching_offsets.tolist() == [0, 2, 3, 4]
    assert packed.table.tolist() == [[0, 2, 2, 3, 0], [5, 4, 0, 2, 6]]
    assert packed.offsets.tolist() == [0, 2, 5, 9]


def test_a_block_within_a_layer_touches_it_with_both_ends():
    packed = pack(joined([2, 3], [(0, 1), (1, 1)]))
    assert packed.touching.tolist() == [0, 1, 2, 3]
    assert packed.touching_offsets.tolist() == [0, 1, 4]


def test_flat_strengths_are_not_copied():
    graph = random_chain([3, 4])
    flat = graph.flat_strengths()
    packed = pack(graph.with_flat_strengths(flat))
    assert np.shares_memory(packed.strengths, flat.numpy())


def test_live_parameters_of_any_float_are_packed_in_float32():
    graph = random_chain([3, 4], dtype=torch.bfloat16)
    graph.blocks[0].strengths.requires_grad_()
    assert pack(graph).strengths.dtype == np.float32
