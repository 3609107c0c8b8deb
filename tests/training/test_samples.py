import numpy as np
import torch

from clusterability.datasets import Dataset, Split
from clusterability.training.samples import samples

CPU = torch.device("cpu")


def of(x, y, n_classes):
    split = Split(np.asarray(x), np.asarray(y))
    return samples(Dataset("few", split, None, n_classes), split, CPU)


def test_pixels_are_scaled_to_one():
    found = of(np.arange(0, 256, 51, dtype=np.uint8).reshape(2, 1, 1, 3), [2, 0], 4)
    assert torch.allclose(found.x.flatten(), torch.tensor([0, 0.2, 0.4, 0.6, 0.8, 1.0]))
    assert found.targets.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert not found.is_regression
    assert len(found) == 2


def test_numbers_stay():
    x = np.array([[-3.0, 400.0], [0.5, 1.0]], np.float32)
    found = of(x, np.array([[1.5], [2.5]], np.float32), None)
    assert found.x.tolist() == x.tolist()
    assert found.targets.tolist() == [[1.5], [2.5]]
    assert found.is_regression
    assert x[0, 0] == -3
