import numpy as np
import pytest

from clusterability.datasets import load_dataset


@pytest.mark.slow
def test_equal_scikit_learns():
    from sklearn.datasets import load_digits

    data = load_dataset("digits")
    expected = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    x = np.concatenate([data.train.x, data.test.x])
    y = np.concatenate([data.train.y, data.test.y])
    np.testing.assert_array_equal(x[:, 0], np.round(expected.images[order] * 255 / 16))
    np.testing.assert_array_equal(y, expected.target[order])
    assert x.max() == 255


def test_division_is_the_same_for_every_seed():
    one, other = (load_dataset("digits", seed=seed) for seed in (0, 1))
    assert one.train.x.tobytes() == other.train.x.tobytes()
    assert one.test.y.tobytes() == other.test.y.tobytes()


def test_every_class_is_in_both_parts():
    data = load_dataset("digits")
    assert np.bincount(data.train.y).min() >= 130
    assert np.bincount(data.test.y).min() > 20
