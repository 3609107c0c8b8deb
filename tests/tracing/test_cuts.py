"""Parts of maps whose pixels have numbers of their own: the graph of the product of the parts."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from small_modules import Forward, randomized

NUMBERS = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
LEFT = torch.tensor([1.0, 1, 0, 0, 0])


def graph(step, **parts):
    model = Forward(lambda self, x: self.b(step(self.a(x))), **parts)
    model.a, model.b = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 1)
    return neuron_graph(
        randomized(model), include=("input",), example_inputs=torch.zeros(1, 2, 5, 5)
    )


CUTS = {
    "slice": (lambda h: (h * LEFT)[..., :2], lambda h: h),
    "crop": (
        lambda h: (h * NUMBERS)[..., 1:-1, 1:-1],
        lambda h: h[..., 1:-1, 1:-1] * NUMBERS[1:-1, 1:-1],
    ),
    "crop twice": (
        lambda h: (h * NUMBERS)[:, :, 1:, :3][:, :, 1:, ::2],
        lambda h: h[:, :, 2:, :3:2] * NUMBERS[2:, :3:2],
    ),
    "after an activation": (
        lambda h: (h * NUMBERS).relu()[..., 2:],
        lambda h: (h[..., 2:] * NUMBERS[:, 2:]).relu(),
    ),
    "along the other axis": (lambda h: (h * LEFT)[:, :, 1:], lambda h: h[:, :, 1:] * LEFT),
    "split": (lambda h: (h * LEFT).split([2, 3], 3)[0], lambda h: h),
    "select": (lambda h: (h * NUMBERS)[..., 1:2], lambda h: h[..., 1:2] * NUMBERS[:, 1:2]),
    "index_select": (
        lambda h: (h * NUMBERS).index_select(2, torch.tensor([0, 3])),
        lambda h: h[:, :, ::3] * NUMBERS[::3],
    ),
    "masked_fill": (lambda h: h.masked_fill(LEFT == 0, 0)[..., :2], lambda h: h),
    "of channels": (
        lambda h: torch.cat([(h * NUMBERS)[:, :1], (h * NUMBERS)[:, [1, 2]]], 1),
        lambda h: h * NUMBERS,
    ),
    "two products": (
        lambda h: (h * NUMBERS * LEFT)[..., :2],
        lambda h: h[..., :2] * NUMBERS[:, :2],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CUTS)
def test_pixels_that_go_on_have_their_own_numbers(name):
    found, expected = (graph(step) for step in CUTS[name])
    assert found.layer_sizes == expected.layer_sizes
    torch.testing.assert_close(found.blocks[0].strengths, expected.blocks[0].strengths)


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        lambda h: (h * LEFT).transpose(2, 3)[..., :2],
        lambda h: (h * LEFT)[..., torch.tensor([0, 1])],
        lambda h: (h * LEFT + h)[..., :2],
        lambda h: functional.pad(h * LEFT, (1, 1))[..., 1:3],
        lambda h: torch.cat([h * LEFT, h], 3)[..., :2],
    ],
)
def test_pixels_whose_numbers_cannot_be_told_are_refused(step):
    with pytest.raises(InputError, match="takes some of the pixels that a constant has multiplied"):
        graph(step)
