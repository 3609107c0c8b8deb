"""Masks of one factor of a product: what it multiplies goes no further either."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.sources import neuron_graph
from small_modules import Forward, randomized

onnx_models = pytest.importorskip("onnx_models")

MASK = torch.tensor([1.0, 0, 1, 1, 0])
KEPT = MASK == 1
LOW = torch.where(KEPT, 0.0, -1e9)
POINTS = torch.zeros(2, 3)


def blocks(step):
    model = Forward(lambda self, x: self.end(step(self.a(x), self.b(x))))
    model.a, model.b, model.end = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2)
    found = neuron_graph(randomized(model), example_inputs=POINTS)
    assert found.layer_sizes == [3, 3, 5, 2]
    weights = [layer.weight.detach().abs().T for layer in (model.a, model.b)]
    return [block.strengths.detach() for block in found.blocks[:2]], weights


MASKED = {
    "product": lambda h, g: h * (g * MASK),
    "on the left": lambda h, g: (g.sigmoid() * MASK) * h,
    "masked_fill": lambda h, g: h * g.sigmoid().masked_fill(~KEPT, 0),
    "where": lambda h, g: torch.where(KEPT, g, 0.0) * h,
    "through relu": lambda h, g: h * (g * MASK).relu(),
    "through a view": lambda h, g: h * (g * MASK).view(-1, 1, 5).permute(0, 2, 1)[:, :, 0],
    "sigmoid of a sum": lambda h, g: h * (g + LOW).sigmoid(),
    "softmax of a sum": lambda h, g: h * (g + LOW).softmax(-1),
    "softmax of an infinite sum": lambda h, g: (
        h * (g + torch.where(KEPT, 0.0, -math.inf)).softmax(-1)
    ),
    "glu": lambda h, g: functional.glu(torch.cat([h, g + LOW], 1)),
    "end of lerp": lambda h, g: torch.lerp(torch.zeros(5), h, g * MASK),
    "of three": lambda h, g: h * (g * (g * MASK).tanh()),
    "without a part": lambda h, g: h * (g - g * (1 - MASK)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKED)
def test_both_factors_have_the_mask(name):
    found, weights = blocks(MASKED[name])
    for strengths, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(strengths, weight * MASK)


UNMASKED = {
    "sigmoid of zeros": lambda h, g: h * (g * MASK).sigmoid(),
    "one is added": lambda h, g: h * (1 + g * MASK),
    "a constant is added": lambda h, g: h * (g * MASK + torch.ones(5)),
    "filled with ones": lambda h, g: h * g.masked_fill(~KEPT, 1.0),
    "where ones": lambda h, g: h * torch.where(KEPT, g, torch.ones(5)),
    "glu": lambda h, g: functional.glu(torch.cat([h, g * MASK], 1)),
    "start of lerp": lambda h, g: torch.lerp(h, torch.zeros(5), g * MASK),
    "or": lambda h, g: h * ((g > 0) | ~KEPT),
    "layer norm": lambda h, g: h * functional.layer_norm(g * MASK, (5,), None, torch.ones(5)),
    "a sigmoid at its other end": lambda h, g: h * (g - LOW).sigmoid(),
    "tanh of a sum": lambda h, g: h * (g + LOW).tanh(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNMASKED)
def test_a_gate_that_is_a_number_there_lets_the_other_pass(name):
    (first, second), weights = blocks(UNMASKED[name])
    torch.testing.assert_close(first, weights[0])
    torch.testing.assert_close(second, weights[1] * MASK)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["product", "masked_fill", "softmax of a sum"])
def test_a_mask_of_a_gate_in_an_onnx_file(name, tmp_path):
    model = Forward(lambda self, x: self.end(MASKED[name](self.a(x), self.b(x))))
    model.a, model.b, model.end = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2)
    found = neuron_graph(onnx_models.exported(randomized(model), POINTS, tmp_path))
    for block in found.blocks[:2]:
        assert torch.equal(block.strengths.sum(0) > 0, KEPT)


def test_halves_with_masks_of_their_own():
    """Of a sum of two in a product only what both remove is removed."""

    def step(h, g):
        return h * (torch.cat([g, g], 1)[:, :5] * MASK + g * (1 - MASK))

    (first, second), weights = blocks(step)
    torch.testing.assert_close(first, weights[0])
    torch.testing.assert_close(second, weights[1])


MEANS = {
    "softmax": (
        lambda e: e.exp() * MASK / (e.exp() * MASK).sum(-1, keepdim=True),
        lambda e: (e + LOW).softmax(-1),
    ),
    "over a norm": (
        lambda e: (e * MASK) / (e.square() * MASK).sum(-1, keepdim=True).sqrt(),
        lambda e: functional.normalize(e * MASK),
    ),
}


@pytest.mark.parametrize("name", MEANS)
def test_a_masked_sum_is_a_statistic(name):
    """And no layer of fixed weights, since a mask is none."""

    def graph(function):
        model = Forward(lambda self, x: self.end(function(self.a(x))))
        model.a, model.end = nn.Linear(3, 5), nn.Linear(5, 2)
        return neuron_graph(randomized(model), example_inputs=POINTS)

    by_hand, named = map(graph, MEANS[name])
    assert by_hand.layer_sizes == named.layer_sizes == [3, 5, 2]
    for block, other in zip(by_hand.blocks, named.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)
