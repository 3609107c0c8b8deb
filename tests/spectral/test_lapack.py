import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.linalg

from clusterability.spectral.lapack import largest_eigenpairs


def symmetric(n, seed=0, dtype=np.float64):
    matrix = np.random.default_rng(seed).standard_normal((n, n))
    return (matrix + matrix.T).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "n_wanted"), [(1, 1), (2, 1), (2, 2), (13, 5), (60, 60), (151, 12)])
def test_equals_scipy(n, n_wanted, dtype):
    matrix = symmetric(n, n, dtype)
    values, vectors = largest_eigenpairs(matrix.copy(), n_wanted)
    expected = scipy.linalg.eigh(matrix.astype(np.float64), eigvals_only=True)[::-1][:n_wanted]
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert values.dtype == vectors.dtype == dtype
    assert vectors.shape == (n, n_wanted)
    np.testing.assert_allclose(values, expected, atol=tolerance * n)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=tolerance * n)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(n_wanted), atol=tolerance * n)


def test_reads_the_lower_triangle_only_and_leaves_it():
    matrix = symmetric(20)
    lower = np.tril(matrix)
    values, _ = largest_eigenpairs(lower, 3)
    assert np.array_equal(lower, np.tril(matrix))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1][:3], atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_multiple_eigenvalues(scale):
    values, vectors = largest_eigenpairs(scale * np.eye(9), 4)
    np.testing.assert_allclose(values, np.full(4, scale))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [31, 38, 45, 87, 101])
def test_all_eigenvalues_but_one_equal(n, dtype):
    """What a graph of separate pairs of neurons gives; syevr finds too few of them by itself."""
    unit = np.random.default_rng(n).random(n)
    unit /= np.linalg.norm(unit)
    values, vectors = largest_eigenpairs((np.eye(n) - np.outer(unit, unit)).astype(dtype), 3)
    np.testing.assert_allclose(values, np.ones(3), atol=1e-5)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-4)
    np.testing.assert_allclose(unit @ vectors, 0, atol=1e-3)


def test_nan_does_not_pass_unnoticed():
    matrix = symmetric(8)
    matrix[2, 3] = matrix[3, 2] = np.nan
    with pytest.raises(np.linalg.LinAlgError):
        largest_eigenpairs(matrix, 2)


@pytest.mark.slow
def test_threads_do_not_disturb_each_other():
    matrices = [symmetric(80, seed) for seed in range(6)]
    expected = [largest_eigenpairs(matrix.copy(), 4)[0] for matrix in matrices]
    found = [np.zeros(4)] * len(matrices)

    def solve(i):
        for _ in range(5):
            found[i] = largest_eigenpairs(matrices[i].copy(), 4)[0]

    threads = [threading.Thread(target=solve, args=(i,)) for i in range(len(matrices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.slow
def test_the_library_is_loaded_on_import():
    """Else it would come after the libraries have been kept to one thread each."""
    code = """
import numpy as np
from clusterability.spectral.lapack import largest_eigenpairs
from threadpoolctl import threadpool_info
before = len(threadpool_info())
largest_eigenpairs(np.eye(3), 1)
assert len(threadpool_info()) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)
