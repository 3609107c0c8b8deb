import numpy as np
import pytest

from clusterability.spectral.filtering import _orthonormal, largest_eigenvectors
from clusterability.vectors import WIDTH
from factors import factor_of


def sparse_matrix(shape, seed=0):
    """A float32 matrix of norm 1, with an empty row and column, and the factor of its entries."""
    rng = np.random.default_rng(seed)
    matrix = rng.random(shape, dtype=np.float32) * (rng.random(shape) < 0.3)
    matrix[2], matrix[:, 1] = 0, 0
    matrix /= np.float32(np.linalg.norm(matrix, 2))
    return matrix, factor_of(matrix)


LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every second": lambda vectors: np.repeat(np.repeat(vectors, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda vectors: vectors[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_a_product_is_that_of_the_matrix_however_vectors_lie(n_panels, layout):
    matrix, factor = sparse_matrix((60, 50))
    rng = np.random.default_rng(1)
    vectors = LAYOUTS[layout](rng.standard_normal((50, n_panels * WIDTH), dtype=np.float32))
    before = vectors.copy()
    np.testing.assert_allclose(factor.product(vectors), matrix @ before, atol=1e-5)
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_the_start_is_read_alone_and_panels_find_the_same(n_panels):
    matrix, factor = sparse_matrix((90, 70))
    start = np.random.default_rng(2).standard_normal((70, n_panels * WIDTH), dtype=np.float32)
    before, nothing = start.copy(), np.zeros(70, np.float32)
    found = largest_eigenvectors(factor, nothing, start, 6)
    np.testing.assert_array_equal(start, before)
    along = np.linalg.svd(matrix.astype(np.float64))[2][:6] @ found
    np.testing.assert_allclose(np.abs(along), np.eye(6), atol=1e-4)


def turned_alike(rest):
    """Columns of length 1, of which each has ``rest`` without those before it.

    The others turn them all the same way, so that all of them together are dependent.
    """
    places = np.arange(WIDTH)
    shares = -np.sqrt((1 - rest**2) / np.maximum(places, 1))
    factor = np.triu(np.tile(shares, (WIDTH, 1)), 1) + np.diag(np.where(places > 0, rest, 1.0))
    return lambda columns: np.linalg.qr(columns)[0] @ factor


DEPENDENT = {
    "none": lambda columns: columns,
    "of lengths far apart": lambda columns: columns * np.logspace(0, -9, WIDTH),
    "two equal": lambda columns: columns[:, [0, 0, *range(2, WIDTH)]],
    "nearly": lambda columns: columns[:, :1] + 1e-6 * columns,
    "more nearly": lambda columns: columns[:, :1] + 1e-9 * columns,
    "turned alike": turned_alike(0.2),
    "turned more alike": turned_alike(0.011),
    "rank three": lambda columns: columns[:, :3] @ columns[:3],
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_columns_become_orthonormal_even_where_they_depend_on_each_other(name):
    columns = DEPENDENT[name](np.random.default_rng(3).standard_normal((40, WIDTH)))
    basis = _orthonormal(columns)
    np.testing.assert_allclose(basis.T @ basis, np.eye(WIDTH), atol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ columns), columns, atol=1e-10)
