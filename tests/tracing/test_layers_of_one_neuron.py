"""One neuron times trained numbers, added to others: the graph of a linear layer with one input."""

import pytest
import torch
from torch import nn

from clusterability.sources import neuron_graph
from small_modules import Forward, randomized

POINTS = torch.zeros(2, 3)

ADDED = {
    "an input": (
        lambda self, x, h: h + x[:, :1] * self.one.weight[:, 0],
        lambda self, x, h: h + self.one(x[:, :1]),
    ),
    "first": (
        lambda self, x, h: self.one.weight.T * x[:, 2:] + h,
        lambda self, x, h: h + self.one(x[:, 2:]),
    ),
    "taken away": (
        lambda self, x, h: h - x[:, :1] * self.one.weight[:, 0],
        lambda self, x, h: h - self.one(x[:, :1]),
    ),
    "a hidden neuron": (
        lambda self, x, h: h + self.single(x) * self.one.weight[:, 0],
        lambda self, x, h: h + self.one(self.single(x)),
    ),
    "addcmul": (
        lambda self, x, h: torch.addcmul(h, x[:, :1], self.one.weight[:, 0]),
        lambda self, x, h: h + self.one(x[:, :1]),
    ),
    "twice a number": (
        lambda self, x, h: torch.add(h, x[:, :1] * self.one.weight[:, 0], alpha=2),
        lambda self, x, h: h + 2 * self.one(x[:, :1]),
    ),
    "after an activation": (
        lambda self, x, h: (h.relu() + x[:, :1].tanh() * self.one.weight[:, 0]).relu(),
        lambda self, x, h: (h.relu() + self.one(x[:, :1].tanh())).relu(),
    ),
}


def graph(step):
    model = Forward(lambda self, x: self.end(step(self, x, self.start(x))))
    model.start, model.end = nn.Linear(3, 5), nn.Linear(5, 2)
    model.one, model.single = nn.Linear(1, 5, bias=False), nn.Linear(3, 1)
    return neuron_graph(randomized(model), example_inputs=POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDED)
def test_it_is_a_layer_of_one_input(name):
    found, named = (graph(step) for step in ADDED[name])
    assert found.layer_sizes == named.layer_sizes
    for block, other in zip(found.blocks, named.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


def test_one_channel_of_a_map():
    def by_product(self, x):
        return self.end(self.start(x) + self.single(x) * self.one.weight[:, :, 0])

    def by_name(self, x):
        return self.end(self.start(x) + self.one(self.single(x)))

    def channels(function):
        model = Forward(function, start=nn.Conv2d(2, 5, 1), end=nn.Conv2d(5, 2, 1))
        model.single, model.one = nn.Conv2d(2, 1, 1), nn.Conv2d(1, 5, 1, bias=False)
        points = torch.zeros(1, 2, 4, 4)
        return neuron_graph(randomized(model), include=("input",), example_inputs=points)

    found, named = channels(by_product), channels(by_name)
    assert found.layer_sizes == named.layer_sizes
    for block, other in zip(found.blocks, named.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


@pytest.mark.parametrize(
    "colors",
    [
        lambda x, deviation: x / deviation,
        lambda x, deviation: (x.expand(-1, 3, -1, -1) - 0.5) / deviation,
        lambda x, deviation: x.repeat(1, 3, 1, 1) / deviation,
    ],
)
def test_a_gray_image_over_deviations_of_colors(colors):
    """What scales the input is no strength, as for an image of three colors."""
    model = Forward(lambda self, x: self.end(self.start(colors(x, self.deviation))))
    model.start, model.end = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
    model.deviation = nn.Parameter(torch.tensor([0.2, 0.3, 0.4])[:, None, None])
    found = neuron_graph(model, example_inputs=torch.zeros(1, 1, 5, 5))
    assert found.layer_sizes == [4, 2]
