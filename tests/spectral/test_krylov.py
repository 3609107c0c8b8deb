import numpy as np
import pytest
import torch

from clusterability.spectral.krylov import BASIS_BLOCKS, SMALLEST_SIDE, largest_eigenpairs
from clusterability.workers import single_threaded_libraries

N, WIDTH = 240, 16


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


def operator(eigenvalues, seed=0, dtype=torch.float64):
    """A symmetric matrix with these eigenvalues."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))
    return torch.tensor((basis * np.asarray(eigenvalues)) @ basis.T, dtype=dtype)


def start(n=N, seed=1, dtype=torch.float64, batch=()):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.standard_normal((*batch, n, WIDTH)), dtype=dtype)


def check(matrix, n_wanted, tolerance, n=N, seed=1):
    block = start(n, seed, matrix.dtype)
    values, vectors = largest_eigenpairs(lambda v: matrix @ v, block, n_wanted)
    expected = np.linalg.eigvalsh(matrix.double().numpy())[::-1][:n_wanted]
    size = max(1e-30, float(np.abs(np.linalg.eigvalsh(matrix.double().numpy())).max()))
    assert vectors.shape == (n, n_wanted)
    np.testing.assert_allclose(values.numpy() / size, expected / size, atol=tolerance)
    v = vectors.double()
    torch.testing.assert_close(
        v.mT @ v, torch.eye(n_wanted, dtype=torch.float64), atol=50 * tolerance, rtol=0
    )
    image = matrix.double() @ v
    torch.testing.assert_close(image / size, v * values / size, atol=20 * tolerance, rtol=0)


SPECTRA = {
    "spread": np.linspace(-1, 1, N),
    "decaying": 0.8 ** np.arange(N),
    "multiple": np.repeat([1.0, 0.9, 0.5, -0.2], N // 4),
    "repeated thrice": np.concatenate([[1, 1, 1, 0.7, 0.7], np.linspace(0.6, 0, N - 5)]),
    "large negative": np.concatenate([np.linspace(-50, -40, 20), np.linspace(0, 1, N - 20)]),
    "tiny gaps": np.concatenate([1 - 1e-5 * np.arange(10), np.linspace(0, 0.95, N - 10)]),
    "near one": np.concatenate([1 - 1e-4 * np.arange(N)]),
    "all negative": np.linspace(-2, -1, N),
    "rank three": np.concatenate([[1, 0.6, 0.5], np.zeros(N - 3)]),
    "rank three, exactly": None,
    "zero": np.zeros(N),
    "one": np.ones(N),
    "huge": 1e12 * np.linspace(0, 1, N),
    "tiny": 1e-12 * np.linspace(0, 1, N),
}


def matrix_of(name, dtype):
    if name == "rank three, exactly":  # zero rows: the iteration runs out of directions
        matrix = torch.zeros(N, N, dtype=dtype)
        matrix[:3, :3] = torch.tensor([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]])
        return matrix
    return operator(SPECTRA[name], dtype=dtype)


@pytest.mark.slow
@pytest.mark.parametrize("n_wanted", [1, 11])
@pytest.mark.parametrize("name", SPECTRA)
def test_equals_numpy(name, n_wanted):
    check(matrix_of(name, torch.float64), n_wanted, 3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
def test_equals_numpy_in_float32(name):
    check(matrix_of(name, torch.float32), 11, 3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [1, 2, 40, 113, 177, 184, 192, 199])
def test_rows_of_zeros_as_isolated_neurons_give_them(rank, dtype):
    matrix = torch.zeros(N, N, dtype=dtype)
    matrix[:rank, :rank] = operator(np.linspace(1, 0.1, rank), dtype=dtype)
    for seed in range(2):
        check(matrix, 11, 3e-6, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("n", [SMALLEST_SIDE * WIDTH, SMALLEST_SIDE * WIDTH + 1, 250, 900])
def test_sizes(n):
    check(operator(np.linspace(-1, 1, n)), 8, 3e-6, n)


@pytest.mark.slow
def test_a_batch_of_unlike_operators_equals_one_by_one():
    names = ["spread", "multiple", "large negative", "tiny gaps"]
    matrices = torch.stack([matrix_of(name, torch.float64) for name in names])
    starts = start(batch=(len(names),))
    values, vectors = largest_eigenpairs(lambda v: matrices @ v, starts, 9)
    assert values.shape == (4, 9)
    assert vectors.shape == (4, N, 9)
    for i, matrix in enumerate(matrices):
        expected = np.linalg.eigvalsh(matrix.numpy())[::-1][:9]
        np.testing.assert_allclose(values[i].numpy(), expected, atol=1e-4 if i == 2 else 1e-5)


def test_stops_within_the_first_basis_once_it_has_converged():
    matrix, n_products = matrix_of("rank three", torch.float64), 0

    def apply(block):
        nonlocal n_products
        n_products += 1
        return matrix @ block

    values, _ = largest_eigenpairs(apply, start(), 3)
    np.testing.assert_allclose(values.numpy(), [1, 0.6, 0.5], atol=1e-6)
    assert n_products < BASIS_BLOCKS


def test_the_start_is_left_as_it_was():
    matrix, block = matrix_of("spread", torch.float64), start()
    before = block.clone()
    largest_eigenpairs(lambda v: matrix @ v, block, 5)
    assert torch.equal(block, before)


def test_the_same_start_gives_the_same_bits():
    matrix = matrix_of("spread", torch.float32)
    found = [
        largest_eigenpairs(lambda v: matrix @ v, start(dtype=torch.float32), 5) for _ in range(2)
    ]
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
