"""Random numbers beside neurons: factors of nothing, other in each forward pass."""

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from small_modules import Forward, linear

POINTS = torch.zeros(2, 3)

FACTORS = {
    "uniform": lambda h, _: h * torch.rand(2, 5),
    "in a value's form": lambda h, _: h * torch.rand_like(h),
    "in a weight's form": lambda h, w: h * torch.rand_like(w[0]),
    "stochastic depth": lambda h, _: h * h.new_empty(2, 1).bernoulli_(0.8) / 0.8,
    "dropout by hand": lambda h, _: h * torch.bernoulli(torch.full_like(h, 0.5)),
    "a mask": lambda h, _: h * (torch.rand(5) < 0.5).float(),
    "a choice": lambda h, _: torch.where(torch.rand(5) > 0.5, h, 0.0),
    "a part of it": lambda h, _: h * torch.rand(2, 10).chunk(2, 1)[1],
    "exponential": lambda h, _: h * torch.empty_like(h).exponential_(),
    "gumbel": lambda h, _: nn.functional.gumbel_softmax(h),
    "normal": lambda h, _: h * torch.normal(torch.zeros_like(h), torch.ones_like(h)),
    "normal in place": lambda h, _: h * (1 + h.new_empty(2, 5).normal_()),
    "a random order": lambda h, _: h[:, torch.rand(5).argsort()],
    "a random order of both": lambda h, _: h[:, torch.rand(5).sort()[1]],
    "added": lambda h, _: h + 0.1 * torch.randn(5),
    "added with a trained deviation": lambda h, w: h + torch.randn_like(h) * w[0],
}


def network(step):
    parts = {"start": linear(3, 5), "end": linear(5, 2), "w": nn.Parameter(torch.ones(5, 5))}
    return Forward(lambda self, x: self.end(step(self.start(x), self.w)), **parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", FACTORS)
def test_random_factors_are_no_strengths(name):
    model = network(FACTORS[name])
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 2]
    for block, layer in zip(found.blocks, (model.start, model.end), strict=True):
        torch.testing.assert_close(block.strengths, layer.weight.abs().T)


def test_a_weight_with_noise_is_a_weight():
    found = neuron_graph(
        network(lambda h, w: nn.functional.linear(h, w + 0.01 * torch.rand_like(w))),
        example_inputs=POINTS,
    )
    assert found.layer_sizes == [3, 5, 5, 2]
    assert ((found.blocks[1].strengths >= 1) & (found.blocks[1].strengths <= 1.01)).all()


def test_noise_that_a_part_in_a_context_takes_from_outside():
    def step(h, w):
        noise = torch.rand(5, 5)
        with torch.autocast("cpu", enabled=False):
            return nn.functional.linear(h, w + 0.01 * noise)

    found = neuron_graph(network(step), example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 5, 2]


def test_a_weight_of_noise_alone_is_refused():
    with pytest.raises(InputError, match=r"random numbers, which are others .* keep them in a buf"):
        neuron_graph(network(lambda h, _: h @ torch.randn(5, 5)), example_inputs=POINTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "factors",
    [
        lambda h, w: 1 + torch.randn_like(h) * w[0],
        lambda _, w: w[0] + 0.1 * torch.rand(5),
        lambda _, w: torch.bernoulli(w[0].sigmoid()),
        lambda _, w: (torch.rand(5) < w[0]).float(),
        lambda _, w: 1 / torch.normal(w[0], 0.1),
    ],
)
def test_random_factors_that_trained_numbers_go_into_are_refused(factors):
    """They gave other strengths in each call."""
    with pytest.raises(InputError, match="multiplies by random numbers that trained ones go into"):
        neuron_graph(network(lambda h, w: h * factors(h, w)), example_inputs=POINTS)
