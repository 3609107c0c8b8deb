"""Masks by very large numbers and by bounds: the graph of the product with the mask."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from small_modules import Forward, linear, randomized

MASK = torch.tensor([True, False, True, True, False])
POINTS = torch.zeros(2, 3)


def removed(number, mask=MASK):
    """A number where the mask removes, else 0."""
    return torch.where(mask, 0.0, number)


def network(step, **parts):
    return Forward(
        lambda self, x: self.end(step(self.start(x))),
        start=linear(3, 5),
        end=linear(5, 2),
        **parts,
    )


def first_strengths(step):
    found = neuron_graph(network(step), example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 2]
    return found.blocks[0].strengths.detach()


ADDED = {
    "relu": lambda h: (h + removed(-1e9)).relu(),
    "infinite": lambda h: (h + removed(-math.inf)).relu(),
    "on the left": lambda h: (removed(-1e9) + h).relu(),
    "subtracted": lambda h: (h - 1e9 * (1 - MASK.float())).relu(),
    "ten thousand": lambda h: (h + -10_000.0 * ~MASK).softmax(-1),
    "the smallest number": lambda h: (h + removed(torch.finfo().min)).softmax(-1),
    "log_softmax": lambda h: functional.log_softmax(h + removed(-1e9), -1),
    "softmin": lambda h: functional.softmin(h + removed(1e9), -1),
    "minus": lambda h: (-(h + removed(1e9))).exp(),
    "from the mask": lambda h: (removed(-1e9) - h).sigmoid(),
    "times a number": lambda h: ((h + removed(-1e9)) * 2 / 2).sigmoid(),
    "times a negative number": lambda h: ((h + removed(1e9)) * -1).relu(),
    "large": lambda h: (h + removed(1e9)).sigmoid(),
    "with alpha": lambda h: torch.add(h, removed(1.0), alpha=-100_000).relu(),
    "moved": lambda h: (h + removed(-1e9)).view(-1, 5, 1).permute(0, 2, 1).relu().flatten(1),
    "through a leaky one": lambda h: functional.leaky_relu(h + removed(-1e9)).sigmoid(),
    "clamp": lambda h: (h + removed(-1e9)).clamp(min=0),
    "hardtanh": lambda h: functional.hardtanh(h + removed(-1e9)),
    "gelu": lambda h: functional.gelu(h + removed(-1e9)),
    "with zeros": lambda h: torch.maximum(h + removed(-1e9), torch.zeros(())),
    "compared": lambda h: ((h + removed(-1e9)) > 0).float(),
    "twice": lambda h: (h + removed(-1e9) + h + removed(-1e9)).relu() / 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDED)
def test_added_before_a_function_that_is_flat_there(name):
    torch.testing.assert_close(first_strengths(ADDED[name]), MASK.expand(3, 5).float())


BOUNDS = {
    "minimum": lambda h: torch.minimum(h, removed(-math.inf)),
    "maximum": lambda h: torch.maximum(removed(1e30), h),
    "minimum after relu": lambda h: torch.minimum(h.relu(), torch.where(MASK, math.inf, 0.0)),
    "maximum after sigmoid": lambda h: torch.fmax(h.sigmoid(), MASK.logical_not().float()),
    "max": lambda h: torch.max(h, removed(math.inf)),
    "clamp from above": lambda h: h.relu().clamp(max=MASK.float()),
    "clamp from below": lambda h: h.clamp(min=removed(1e9)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_beyond_all_that_a_neuron_holds(name):
    torch.testing.assert_close(first_strengths(BOUNDS[name]), MASK.expand(3, 5).float())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "infinite", "softmin", "minimum", "clamp from above"])
def test_such_a_mask_in_an_onnx_file(name, tmp_path):
    onnx_models = pytest.importorskip("onnx_models")
    path = onnx_models.exported(network({**ADDED, **BOUNDS}[name]), POINTS, tmp_path)
    strengths = neuron_graph(path).blocks[0].strengths.detach()
    torch.testing.assert_close(strengths, MASK.expand(3, 5).float())


UNMASKED = {
    "a shift": lambda h: (h + removed(-3.0)).relu(),
    "linear": lambda h: h + removed(-1e9),
    "not flat there": lambda h: (h + removed(1e9)).relu(),
    "not flat at all": lambda h: functional.leaky_relu(h + removed(-1e9)),
    "of a large unit": lambda h: ((h * 1e5 + removed(1e5)) / 1e5).sigmoid(),
    "a bound": lambda h: torch.minimum(h, MASK.float()),
    "a bound of each": lambda h: h.clamp(-MASK.float() - 1, MASK.float() + 1),
    "no bound": lambda h: torch.minimum(h, torch.where(MASK, math.inf, 1.0)),
    "everywhere": lambda h: (h - 1e9).relu(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNMASKED)
def test_other_constants_are_no_masks(name):
    torch.testing.assert_close(first_strengths(UNMASKED[name]), torch.ones(3, 5))


def test_a_maximum_over_neurons_is_none_of_the_masked():
    model = Forward(lambda self, x: self.end((self.start(x) + removed(-1e9)).amax(1, True)))
    model.start, model.end = linear(3, 5), linear(1, 2)
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 1, 2]
    assert float(found.blocks[0].strengths.detach()[0, 0]) == 3


def test_a_mask_of_channels_by_addition():
    model = Forward(lambda self, x: self.end((self.start(x) + self.mask[:, None, None]).relu()))
    model.start, model.end = nn.Conv2d(2, 5, 3), nn.Conv2d(5, 2, 1)
    randomized(model).register_buffer("mask", removed(-1e9))
    found = neuron_graph(model, example_inputs=torch.zeros(1, 2, 5, 5), include=("input",))
    expected = model.start.weight.detach().abs().sum((2, 3)).T * MASK
    torch.testing.assert_close(found.blocks[0].strengths.detach(), expected)


def test_a_mask_by_addition_follows_its_buffer():
    model = network(lambda h: h)
    model.function = lambda self, x: self.end((self.start(x) + self.mask).relu())
    model.register_buffer("mask", removed(-1e9))
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.blocks[0].strengths.sum() == 9
    model.mask = removed(-1e9, ~MASK)
    again = neuron_graph(model, example_inputs=POINTS)
    assert again.blocks[0].strengths.sum() == 6


def test_bounds_that_meet_are_refused():
    with pytest.raises(InputError, match="its two bounds meet at some neurons"):
        first_strengths(lambda h: h.clamp(-MASK.float(), MASK.float()))
