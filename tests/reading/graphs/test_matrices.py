from contextlib import suppress

import numpy as np
import pytest
import scipy.sparse as sp

from clusterability.errors import InputError
from clusterability.reading.graphs import graph_from_sparse, is_graph_file, read_graph
from graphs import AWKWARD, naive_adjacency

FORMATS = ("csr", "csc", "bsr", "coo", "dia")


def symmetric(n_nodes=6, seed=0):
    upper = np.triu(np.random.default_rng(seed).random((n_nodes, n_nodes)), 1)
    return upper + upper.T


@pytest.mark.parametrize("kind", [*FORMATS, "lil", "dok"])
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix])
def test_every_format_of_scipy(kind, make):
    adjacency = symmetric()
    graph = graph_from_sparse(make(adjacency).asformat(kind))
    np.testing.assert_array_equal(naive_adjacency(graph), adjacency)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.longdouble])
def test_every_real_number(dtype):
    adjacency = (symmetric() * 10).astype(dtype)
    graph = graph_from_sparse(sp.csr_array(adjacency))
    np.testing.assert_allclose(naive_adjacency(graph), adjacency.astype(float))


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_what_to_scipy_writes_comes_back(name, tmp_path):
    graph = AWKWARD[name]
    layers = np.repeat([layer.name for layer in graph.layers], graph.layer_sizes)
    again = [graph_from_sparse(graph.to_scipy(), layers.tolist())]
    sp.save_npz(tmp_path / "graph.npz", graph.to_scipy())
    arrays = dict(np.load(tmp_path / "graph.npz"))
    np.savez(tmp_path / "layered.npz", **arrays, layers=layers)
    again.append(read_graph(tmp_path / "layered.npz"))
    for other in again:
        assert other.layers == graph.layers
        assert (other.to_scipy() != graph.to_scipy()).nnz == 0
    flat = read_graph(tmp_path / "graph.npz")
    assert [layer.name for layer in flat.layers] == ["nodes"]
    assert (flat.to_scipy() != graph.to_scipy()).nnz == 0


def test_duplicates_and_stored_zeros():
    rows, columns, weights = [0, 0, 1, 2, 2], [1, 1, 0, 2, 1], [1.0, 2.0, 3.0, 0.0, 0.0]
    graph = graph_from_sparse(sp.coo_array((weights, (rows, columns)), shape=(3, 3)))
    assert graph.degrees().tolist() == [3, 3, 0]


def test_halves_that_differ_by_rounding_are_averaged():
    adjacency = symmetric()
    adjacency[0, 1] *= 1 + 5e-7
    graph = graph_from_sparse(sp.csr_array(adjacency))
    np.testing.assert_allclose(naive_adjacency(graph), (adjacency + adjacency.T) / 2, rtol=1e-12)


def test_a_matrix_that_is_not_symmetric_is_refused_with_the_place():
    adjacency = symmetric()
    adjacency[4, 2], adjacency[2, 4] = 0.25, 0.5
    with pytest.raises(InputError) as caught:
        graph_from_sparse(sp.csr_array(adjacency))
    assert str(caught.value).startswith(
        "the matrix is not symmetric: 0.5 at row 2, column 4, but 0.25 at row 4, column 2; pass "
    )
    with pytest.raises(InputError, match="0 at row 1, column 0"):
        graph_from_sparse(sp.csr_array(np.triu(symmetric())))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "of type ndarray, expected a SciPy sparse one"),
        (sp.csr_array(np.ones((3, 4))), r"shape \(3, 4\), expected a square one"),
        (sp.csr_array(symmetric() * 1j), "complex; take absolute values"),
        (sp.csr_array(np.eye(3)), "node '0' is joined to itself"),
        (sp.csr_array((3, 3)), "no edges of positive weight"),
        (sp.csr_array((0, 0)), "no rows"),
        (sp.csr_array(-symmetric()), "which is negative"),
        (sp.csr_array(symmetric() * np.nan), "which is not finite"),
        (sp.coo_array(([1.0], ([1], [0])), shape=(10**6, 10**6)), "nodes take 5,000.0 GB"),
        (sp.coo_array(([1.0], ([1], [0])), shape=(2**31, 2**31)), "2,147,483,648 rows, too many"),
    ],
)
def test_matrices_that_cannot_be_measured_are_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        graph_from_sparse(matrix)


def test_layers_must_fit():
    with pytest.raises(InputError, match="6 rows, but 5 layers are given"):
        graph_from_sparse(sp.csr_array(symmetric()), list("abcde"))


def saved(path, **changed):
    """A file of save_npz with other arrays in it; None takes one out."""
    matrix = sp.csr_array(symmetric())
    arrays = {
        "format": b"csr",
        "shape": np.array([6, 6]),
        **{name: getattr(matrix, name) for name in ("data", "indices", "indptr")},
        **changed,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_every_format(tmp_path, kind):
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(symmetric()).asformat(kind))
    assert is_graph_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(naive_adjacency(read_graph(tmp_path / "a.npz")), symmetric())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"indices": np.full(30, 9)}, "make no csr matrix"),
        ({"indices": np.full(30, -1)}, "make no csr matrix"),
        ({"indices": np.full(30, 2**64 - 1, np.uint64)}, "make no csr matrix"),
        ({"indices": np.ones(30)}, "indices holds float64, expected whole numbers"),
        ({"indptr": np.array([0, 5, 3, 15, 20, 25, 30])}, "make no csr matrix"),
        ({"indptr": np.array([0, 1])}, "make no csr matrix"),
        ({"indptr": np.arange(0, 700, 100)}, "make no csr matrix"),
        ({"data": np.ones((2, 15))}, "make no csr matrix"),
        ({"shape": np.array([10**9, 10**9])}, "1,000,000,000 nodes take"),
        ({"shape": np.array([-1, -1])}, "expected a square one"),
        ({"shape": np.array([6.0, 6.0])}, "expected whole numbers"),
        ({"shape": np.array([6, 6, 6])}, "expected a square one"),
        ({"format": b"lil"}, "format 'lil', expected one of csr"),
        ({"format": b"coo"}, "format 'coo', expected one of"),
        ({"format": np.arange(3)}, "format '', expected one of"),
        ({"data": np.ones(30, complex)}, "complex"),
        ({"data": np.full(30, "a")}, "holds <U1, expected real numbers"),
        ({"layers": np.arange(5)}, "6 rows, but 5 layers"),
        ({"layers": np.ones(6)}, "layers are float64"),
        ({"data": np.array([{}] * 30)}, "Python objects, which would be unpickled"),
    ],
)
def test_files_that_are_no_matrix_are_refused(tmp_path, changed, message):
    path = saved(tmp_path / "a.npz", **changed)
    with pytest.raises(InputError, match=message) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_diagonal_format_that_claims_a_huge_shape_takes_no_memory(tmp_path):
    arrays = {"data": np.ones((1, 3)), "offsets": np.array([1])}
    np.savez(tmp_path / "a.npz", format=b"dia", shape=np.array([10**9] * 2), **arrays)
    with pytest.raises(InputError, match="1,000,000,000 nodes take"):
        read_graph(tmp_path / "a.npz")


@pytest.mark.parametrize("missing", ["format", "shape", "data", "indices"])
def test_weights_are_no_graph(tmp_path, missing):
    path = saved(tmp_path / "a.npz", **{missing: None})
    assert not is_graph_file(path)
    with pytest.raises(InputError, match=r"no sparse matrix|arrays that belong to it"):
        read_graph(path)


@pytest.mark.slow
def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    whole = saved(tmp_path / "whole.npz").read_bytes()
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    for length in (1, 100, len(whole) - 3):
        path.write_bytes(whole[:length])
        assert not is_graph_file(path)
        with pytest.raises(InputError, match="truncated, corrupt"):
            read_graph(path)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        is_graph_file(path)
        with suppress(InputError):
            read_graph(path).check_strengths()
