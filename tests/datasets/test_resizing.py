import numpy as np
import pytest

from clusterability.datasets import resizing
from clusterability.datasets.resizing import resize
from naive_resizing import naive_resized


@pytest.mark.parametrize("size", [(28, 14), (7, 7), (28, 28), (4, 14), (10, 11)])
def test_equals_its_naive_twin(size):
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 28, 28), dtype=np.uint8)
    expected = [[naive_resized(channel, size) for channel in image] for image in images]
    np.testing.assert_allclose(resize(images, size), expected, atol=1e-9)


def test_known_values_of_one_white_column():
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[..., 10] = 255
    row = resize(image, (28, 14))[0, 0, 0]
    # Gaussian of standard deviation 0.5 cut at 2, then the mean of columns 2i and 2i + 1
    gauss = np.exp(-0.5 * (np.arange(-2, 3) / 0.5) ** 2)
    gauss *= 255 / gauss.sum()
    assert row[4] == pytest.approx((gauss[0] + gauss[1]) / 2)
    assert row[5] == pytest.approx((gauss[2] + gauss[3]) / 2)
    assert row[6] == pytest.approx(gauss[4] / 2)
    assert not row[7:].any()


def test_a_flat_image_stays_flat():
    images = np.full((2, 1, 28, 28), 77, np.uint8)
    np.testing.assert_allclose(resize(images, (7, 7)), 77)


def test_batches_make_no_difference(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (11, 1, 28, 28), dtype=np.uint8)
    whole = resize(images, (28, 14))
    monkeypatch.setattr(resizing, "BATCH", 4)
    np.testing.assert_allclose(resize(images, (28, 14)), whole, rtol=1e-14)
