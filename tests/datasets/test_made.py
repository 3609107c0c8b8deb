"""The sets that are made from nothing but a seed, beside slow versions of them."""

import numpy as np
import pytest

from clusterability.datasets import load_dataset
from clusterability.datasets.lines import line_images
from clusterability.datasets.noise import random_images
from clusterability.datasets.polynomials import MONOMIALS, polynomials
from clusterability.datasets.streams import stream

MADE = ("lines", "polynomials", "random", "random-memorization")


def naive_lines(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The same draws, one image and one column at a time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    ranks = rng.permuted(np.tile(np.arange(28, dtype=np.uint8), (n, 1)), axis=1)
    images = np.zeros((n, 1, 28, 28), np.uint8)
    for image, label, rank in zip(images, labels, ranks, strict=True):
        n_lines = label + 1
        for line in range(n_lines):
            image[0, :, list(rank).index(line)] = 255
    return images, labels


def test_lines_equal_their_naive_twin():
    split = line_images(np.random.default_rng(3), 200)
    x, y = naive_lines(3, 200)
    np.testing.assert_array_equal(split.x, x)
    np.testing.assert_array_equal(split.y, y)


@pytest.mark.slow
def test_published_lines_are_drawn_one_by_one():
    """Seed 42 makes them, the training images first, whatever the seed is."""
    rng, data = np.random.RandomState(42), load_dataset("lines-published", seed=3)
    for split in (data.train, data.test):
        for image, label in zip(split.x, split.y, strict=True):
            n_lines, columns = rng.randint(1, 11), []
            while len(columns) < n_lines:
                column = rng.randint(0, 28)
                if column not in columns:
                    columns.append(column)
            expected = np.zeros((28, 28))
            expected[:, columns] = 255
            assert label == n_lines - 1
            assert (image[0] == expected).all()


@pytest.mark.slow
def test_lines_number_and_places_are_uniform():
    split = load_dataset("lines").train
    columns = split.x[:, 0, 0] == 255
    assert (split.x == split.x[:, :, :1]).all()
    assert set(np.unique(split.x)) == {0, 255}
    np.testing.assert_array_equal(columns.sum(1), split.y + 1)
    np.testing.assert_allclose(np.bincount(split.y) / 6000, 1, atol=0.06)
    np.testing.assert_allclose(columns.mean(0) / (5.5 / 28), 1, atol=0.05)


def test_polynomials_equal_their_naive_twin():
    x = np.random.default_rng(0).standard_normal((20, 2), dtype=np.float32)
    expected = np.zeros((20, 512))
    for point, (u, v) in enumerate(x.astype(float)):
        for i in range(512):
            for j, (a, b) in enumerate(MONOMIALS):
                if i & 2**j:
                    expected[point, i] += u**a * v**b
    np.testing.assert_allclose(polynomials(x), expected, rtol=2e-5, atol=1e-5)


@pytest.mark.slow
def test_polynomials_are_all_different_and_each_monomial_is_in_half():
    data = load_dataset("polynomials")
    assert len(np.unique(data.train.y[:5], axis=1).T) == 512
    at_one = polynomials(np.ones((1, 2), np.float32))[0]
    np.testing.assert_array_equal(
        np.bincount(at_one.astype(int)), [1, 9, 36, 84, 126, 126, 84, 36, 9, 1]
    )
    assert data.n_classes is None
    assert abs(data.train.x.mean()) < 0.01
    assert abs(data.train.x.std() - 1) < 0.01


def test_random_pixels_and_labels_are_uniform():
    split = random_images(np.random.default_rng(0), 4_000)
    np.testing.assert_allclose(np.bincount(split.x.ravel()) / (4_000 * 784 / 256), 1, atol=0.05)
    np.testing.assert_allclose(np.bincount(split.y) / 400, 1, atol=0.2)


def test_memorization_keeps_its_order_and_has_no_test_part():
    data = load_dataset("random-memorization")
    assert (data.reshuffled, data.test) == (False, None)
    assert load_dataset("random").reshuffled


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_the_seed_makes_the_bytes(name):
    one, same, other = (load_dataset(name, seed=seed).train for seed in (1, 1, 2))
    assert one.x.tobytes() == same.x.tobytes()
    assert one.y.tobytes() == same.y.tobytes()
    assert one.x.tobytes() != other.x.tobytes()
    assert one.y.tobytes() != other.y.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE[:3])
def test_no_test_sample_is_a_training_sample(name):
    data = load_dataset(name)
    n = len(data.test.y)
    assert data.train.x[:n].tobytes() != data.test.x.tobytes()
    assert data.train.y[:n].tobytes() != data.test.y.tobytes()


def test_streams_of_different_purposes_differ():
    draws = {stream(0, purpose, part).random() for purpose in ("a", "b") for part in (0, 1)}
    assert len(draws) == 4


@pytest.mark.slow
def test_the_published_sets_are_of_the_old_generator():
    """By NumPy's module functions, as the published runs drew them."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(42)  # noqa: NPY002
        x = np.random.randint(0, 256, (60_000, 28, 28))  # noqa: NPY002
        y = np.random.randint(0, 10, 60_000)  # noqa: NPY002
        np.random.seed(42)  # noqa: NPY002
        train = np.random.normal(size=(60_000, 2))  # noqa: NPY002
        test = np.random.normal(size=(10_000, 2))  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    for name, n in (("random-published", 60_000), ("memorization-published", 3_000)):
        data = load_dataset(name, seed=7)
        np.testing.assert_array_equal(data.train.x[:, 0], x[:n])
        np.testing.assert_array_equal(data.train.y, y[:n])
        assert data.test is None
    data = load_dataset("polynomials-published")
    np.testing.assert_array_equal(data.train.x, train.astype(np.float32))
    np.testing.assert_array_equal(data.test.x, test.astype(np.float32))
    np.testing.assert_array_equal(data.test.y, polynomials(data.test.x))
