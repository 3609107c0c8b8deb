"""Constant masks: the graph of the product with the same numbers."""

import pytest
import torch
from torch import nn

from clusterability.sources import neuron_graph
from operation_table.masks import MASKS
from small_modules import Forward, conv, randomized

onnx_models = pytest.importorskip("onnx_models")

MASK = torch.tensor([True, False, True, True, False])
POINTS = torch.zeros(1, 3)


def network(step, mask=MASK):
    model = Forward(
        lambda self, x: self.end(step(self.start(x), self.mask)),
        start=nn.Linear(3, 5),
        end=nn.Linear(5, 2),
        mask=mask,
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in (model.start, model.end):
            layer.weight.uniform_(0.5, 1)
    return model


def assert_masked(found, factors):
    weight = network(lambda h, _: h).start.weight.detach().abs().T
    assert found.layer_sizes == [3, 5, 2]
    torch.testing.assert_close(found.blocks[0].strengths.detach(), weight * factors)


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_removes_the_strengths_of_what_it_removes(name):
    step, factors = MASKS[name]
    found = neuron_graph(network(step), example_inputs=POINTS)
    assert_masked(found, factors(MASK))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masked_fill", "where", "where not"])
def test_a_mask_in_an_onnx_file(name, tmp_path):
    step, factors = MASKS[name]
    path = onnx_models.exported(network(step), POINTS, tmp_path)
    assert_masked(neuron_graph(path), factors(MASK))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["value without a part", "value without a part by numbers"])
def test_a_part_taken_away_in_an_onnx_file(name, tmp_path):
    step, factors = MASKS[name]
    path = onnx_models.exported(network(step), POINTS, tmp_path)
    assert_masked(neuron_graph(path), factors(MASK))


def test_a_trained_factor_that_is_taken_away_adds_its_strength():
    """It is another way, as a residual branch is one."""
    factors = nn.Parameter(torch.tensor([0.5, 0.25, 1, 0, 2]))
    model = network(lambda h, f: h - h * f, factors)
    assert_masked(neuron_graph(model, example_inputs=POINTS), 1 + factors.detach())


def test_values_beside_a_mask():
    """They count where it does not decide."""
    only = neuron_graph(network(lambda h, m: ((h > 0) & m).float()), example_inputs=POINTS)
    assert_masked(only, MASK)
    neither = neuron_graph(network(lambda h, m: ((h > 0) | m).float()), example_inputs=POINTS)
    assert_masked(neither, ~MASK)


def test_one_of_two_layers_by_a_mask():
    def forward(self, x):
        return self.end(torch.where(self.mask, self.a(x), self.b(x)))

    parts = {"a": nn.Linear(3, 5), "b": nn.Linear(3, 5), "end": nn.Linear(5, 2)}
    model = randomized(Forward(forward, **parts, mask=MASK.clone()))
    model.mask = MASK
    found = neuron_graph(model, example_inputs=POINTS)
    weights = [model.a.weight.abs().T * MASK, model.b.weight.abs().T * ~MASK]
    for block, expected in zip(found.blocks[:2], weights, strict=True):
        torch.testing.assert_close(block.strengths, expected)


def test_a_mask_of_pixels_counts_by_its_share():
    """As a product does."""
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[0] = False
    model = Forward(lambda self, x: self.b(self.a(x).masked_fill(~self.mask, 0)), mask=mask)
    model.a, model.b = conv(2, 3), conv(3, 2)
    found = neuron_graph(model, include=("input",), example_inputs=torch.zeros(1, 2, 4, 4))
    torch.testing.assert_close(found.blocks[0].strengths, torch.full((2, 3), 0.75))


def test_a_mask_computed_from_a_parameter_follows_it():
    model = network(
        lambda h, m: h.masked_fill(m > 0, 0), nn.Parameter(torch.tensor([1.0, -1] * 2 + [0]))
    )
    assert_masked(neuron_graph(model, example_inputs=POINTS), model.mask.detach() <= 0)


def test_of_another_tensor_only_its_form_matters():
    """What type_as and expand_as take the form of adds nothing, wherever it comes from."""

    def step(h, _):
        wide = torch.cat([h, h], 1)
        return h.type_as(wide).view_as(h).expand_as(h)

    assert_masked(neuron_graph(network(step), example_inputs=POINTS), torch.ones(5))


def test_a_weight_in_the_form_of_the_input():
    def forward(self, x):
        return nn.functional.linear(self.start(x), self.w.type_as(x))

    model = Forward(forward, start=nn.Linear(3, 5), w=nn.Parameter(torch.rand(2, 5)))
    found = neuron_graph(model.double(), example_inputs=POINTS.double())
    assert [layer.name for layer in found.layers] == ["input", "start", "w"]
    torch.testing.assert_close(found.blocks[1].strengths, model.w.abs().T)


def test_factors_in_the_form_of_a_map():
    """As the L2Norm layers of detectors have them."""

    def forward(self, x):
        h = self.a(x)
        factors = self.factors[None, :, None, None].expand_as(h)
        return self.b(factors * (h / (h.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)))

    model = Forward(forward, factors=nn.Parameter(torch.tensor([1.0, -2, 0.5])))
    model.a, model.b = conv(2, 3), conv(3, 2)
    found = neuron_graph(model, include=("input",), example_inputs=torch.zeros(1, 2, 4, 4))
    expected = model.factors.abs().expand(2, 3)
    torch.testing.assert_close(found.blocks[0].strengths, expected)
