import numpy as np
import pytest
import torch

from clusterability.spectral import degrees as module
from clusterability.spectral.degrees import fast_total

LARGE = 2.0**24  # beyond it, float32 has no odd numbers

BLOCKS = {
    "rows": torch.rand(3, 5),
    "columns": torch.rand(5, 3).mT,
    "batch": torch.rand(4, 3, 5),
    "every second": torch.rand(6, 10)[::2, ::2],
    "one column": torch.rand(7, 1),
    "empty": torch.ones(0, 5),
    "batch of none": torch.ones(0, 3, 5),
    "half precision": torch.rand(3, 5).half(),
    "float64": torch.rand(3, 5, dtype=torch.float64),
    "followed by derivatives": torch.rand(3, 5, requires_grad=True),
    "beyond float32": torch.tensor([[LARGE, 1.0, 1.0, 1.0]]),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_total_is_the_sum_in_float64(name):
    block = BLOCKS[name]
    found = fast_total(block)
    assert (found.dtype, found.requires_grad) == (torch.float64, False)
    expected = block.detach().double().numpy().sum((-2, -1))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


def test_uncompiled_loops_add_up_in_float64_too():
    strengths = BLOCKS["beyond float32"].numpy().reshape(-1)
    assert getattr(module._total, "py_func", module._total)(strengths) == LARGE + 3
