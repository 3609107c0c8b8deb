import math

import numpy as np
import pytest
import torch

from clusterability.training.augmentation import draw_transformations, transform

IMAGES = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def moved(rows):
    return transform(IMAGES, torch.tensor(rows, dtype=torch.float).expand(3, 2, 3))


def test_identity():
    assert torch.allclose(moved([[1, 0, 0], [0, 1, 0]]), IMAGES, atol=1e-6)


def test_flip():
    assert torch.allclose(moved([[-1, 0, 0], [0, 1, 0]]), IMAGES.flip(3), atol=1e-5)


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (0, 3), (-1, 2)])
def test_shift_by_pixels_repeats_the_border(dx, dy):
    # Of 8 pixels one is a quarter long, where the side is 2.
    found = moved([[1, 0, dx / 4], [0, 1, dy / 4]])
    columns = torch.arange(8).add(dx).clamp(0, 7)
    rows = torch.arange(8).add(dy).clamp(0, 7)
    assert torch.allclose(found, IMAGES[:, :, rows][:, :, :, columns], atol=1e-5)


def test_quarter_turn():
    found = moved([[0, -1, 0], [1, 0, 0]])
    assert torch.allclose(found, IMAGES.rot90(-1, (2, 3)), atol=1e-5) or torch.allclose(
        found, IMAGES.rot90(1, (2, 3)), atol=1e-5
    )


def test_each_image_has_its_own_map():
    maps = torch.tensor(
        [[[1.0, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]], [[1, 0, 0.5], [0, 1, 0]]]
    )
    found = transform(IMAGES, maps)
    for i in range(3):
        assert torch.equal(found[i : i + 1], transform(IMAGES[i : i + 1], maps[i : i + 1]))
    assert torch.allclose(found[1], IMAGES[1].flip(2), atol=1e-5)


def test_what_is_drawn():
    n = 20_000
    maps = draw_transformations(n, np.random.default_rng(1)).astype(np.float64)
    assert maps.shape == (n, 2, 3)
    sign = np.linalg.det(maps[:, :, :2])
    assert np.allclose(np.abs(sign), 1, atol=1e-6)
    angle = np.degrees(np.arctan2(-maps[:, 0, 1], maps[:, 1, 1]))
    assert np.allclose(maps[:, 0, 0], sign * np.cos(np.radians(angle)), atol=1e-6)
    assert np.allclose(maps[:, 1, 0], sign * np.sin(np.radians(angle)), atol=1e-6)
    shift = maps[:, :, 2] / 2  # of the side
    assert abs((sign > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(n)
    for values, most in ((angle, 15), (shift[:, 0], 0.1), (shift[:, 1], 0.1)):
        assert most * 0.999 < np.abs(values).max() <= most * (1 + 1e-6)
        assert abs(values.mean()) < 5 * most / math.sqrt(3 * n)
        assert abs((values**2).mean() / (most**2 / 3) - 1) < 0.05
    drawn = np.stack([angle, shift[:, 0], shift[:, 1], sign])
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 5 / math.sqrt(n)
