"""Very large numbers that are no masks: units of measurement, wide bounds, sums taken back."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from small_modules import Forward, linear

POINTS = torch.zeros(2, 3)
MEAN = torch.tensor([101325.0, -20000.0, 5.0, 0.0, 0.0])  # as of a pressure in pascal
UNIT = torch.tensor([1000.0, 5000.0, 1.0, 1.0, 1.0])
LOW, HIGH = MEAN - 3 * UNIT, MEAN + 3 * UNIT
MASK = torch.tensor([True, False, True, True, False])
REMOVED = torch.where(MASK, 0.0, -1e9)


def strengths(step, **parts):
    model = Forward(
        lambda self, x: self.end(step(self, self.start(x))),
        start=linear(3, 5),
        end=linear(5, 2),
        **parts,
    )
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 2]
    return found.blocks[0].strengths.detach()


KEPT = {
    "standardized and bounded": lambda h: ((h - MEAN) / UNIT).clamp(-5, 5) * UNIT,
    "standardized by a product": lambda h: ((h - MEAN) * (1 / UNIT)).tanh() * UNIT,
    "physical bounds": lambda h: (h * UNIT + MEAN).clamp(-2e5, 2e5) / UNIT,
    "bounds of each neuron": lambda h: torch.clamp(h * UNIT + MEAN, LOW, HIGH) / UNIT,
    "the larger of each": lambda h: torch.maximum(h * UNIT + MEAN, LOW) / UNIT,
    "wide hardtanh": lambda h: functional.hardtanh(h + MEAN, -1e6, 1e6),
    "infinite bounds": lambda h: torch.clamp(h + MEAN, torch.full((5,), -torch.inf)),
    "compared with": lambda h: (h + MEAN > MEAN).float(),
    "a function compared with 0": lambda h: (h.relu() > torch.zeros(5)).float(),
    "taken back": lambda h: (h + MEAN - MEAN).relu(),
    "taken back before": lambda h: (((h * UNIT - MEAN) + MEAN) / UNIT).sigmoid(),
    "layer norm": lambda h: functional.layer_norm(h + MEAN, (5,)).relu(),
    "logarithm": lambda h: (h + MEAN.abs() + 1).log().tanh(),
    "square": lambda h: (h + MEAN).square().relu(),
    "both signs": lambda h: ((h + MEAN.abs()) * torch.tensor([-1.0, 1, 1, 1, 1])).relu(),
}


@pytest.mark.parametrize("name", KEPT)
def test_all_neurons_are_kept(name):
    found = strengths(lambda _, h: KEPT[name](h))
    torch.testing.assert_close(found, torch.ones(3, 5))


def test_a_batch_norm_takes_its_mean_away():
    norm = nn.BatchNorm1d(5, eps=0.0, affine=False)
    norm.running_mean += MEAN
    found = strengths(lambda self, h: self.norm(h + MEAN).relu(), norm=norm)
    torch.testing.assert_close(found, torch.ones(3, 5))


REMOVING = {
    "over a temperature": lambda h: ((h + REMOVED) / torch.full((5,), 2.0)).sigmoid() * 2,
    "times numbers below 0": lambda h: ((h - REMOVED) * -torch.ones(5)).relu(),
    "added twice": lambda h: (h + REMOVED + REMOVED).relu(),
    "rounded": lambda h: (h + REMOVED).round().relu(),
}


@pytest.mark.parametrize("name", REMOVING)
def test_masks_go_through_factors(name):
    found = strengths(lambda _, h: REMOVING[name](h))
    torch.testing.assert_close(found, MASK.expand(3, 5).float())


SUMS = {
    "of two layers": lambda self, h: h.cumsum(-1) - self.other(h).cumsum(-1),
    "after functions": lambda self, h: h.cumsum(-1).relu() - self.other(h).cumsum(-1).relu(),
    "of one, by a function": lambda _, h: h.cumsum(-1) - h.cumsum(-1).tanh(),
}


@pytest.mark.parametrize("name", SUMS)
def test_running_sums_that_leave_no_windows_are_subtracted(name):
    def added(self, h):
        is_one = name == "of one, by a function"
        return h.cumsum(-1) if is_one else h.cumsum(-1) + self.other(h).cumsum(-1)

    def graph(step):
        model = Forward(lambda self, x: self.end(step(self, self.start(x))))
        model.start, model.other, model.end = linear(3, 5), linear(5, 5, 0.5), linear(5, 2)
        return neuron_graph(model, example_inputs=POINTS)

    found, same = graph(SUMS[name]), graph(added)
    assert found.layer_sizes == same.layer_sizes
    for block, other in zip(found.blocks, same.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


def test_windows_of_running_sums_are_refused():
    with pytest.raises(InputError, match="takes a running sum away"):
        strengths(lambda _, h: h.cumsum(-1) - h.cumsum(-1).roll(1, -1))
