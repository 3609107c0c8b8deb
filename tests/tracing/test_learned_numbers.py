"""Parameters that hold zeros and ones for now: the structure is that of any other numbers."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from clusterability.sources import neuron_graph
from small_modules import Forward, randomized

POINTS = torch.zeros(2, 3)
MASK = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
VECTOR, ZEROS, MATRIX = MASK, torch.zeros(5), torch.eye(5)


def network(step, numbers, **parts):
    return Forward(
        lambda self, x: self.end(step(self, self.start(x))),
        start=nn.Linear(3, 5),
        end=nn.Linear(5, 2),
        numbers=nn.Parameter(numbers.clone()),
        **parts,
    )


def layers_and_trained(model):
    found = neuron_graph(model, example_inputs=POINTS)
    total = sum(block.strengths.sum() for block in found.blocks)
    total.backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    return found.layer_sizes, trained


STEPS = {
    "a gate": (lambda self, h: h.relu() * (self.numbers * h.sigmoid()), VECTOR),
    "a share": (lambda self, h: h - h * self.numbers, VECTOR),
    "a weighted sum": (lambda self, h: h + (h.relu() * self.numbers).sum(-1, True), VECTOR),
    "an upper bound": (lambda self, h: torch.minimum(h.relu(), self.numbers), ZEROS),
    "two bounds": (lambda self, h: torch.clamp(h, self.numbers, self.numbers * 1), ZEROS),
    "a very large bias": (lambda self, h: (h + self.numbers).relu(), -1e5 * MASK),
    "a matrix": (lambda self, h: functional.linear(h, self.numbers), MATRIX),
    "scaled rows": (
        lambda self, h: functional.linear(h, self.a_scale[:, None] * self.numbers),
        MATRIX,
    ),
    "an outer product": (
        lambda self, h: functional.linear(h, torch.outer(self.numbers, self.other)),
        MATRIX[0],
    ),
    "an update of the identity": (
        lambda self, h: functional.linear(h, self.eye + torch.outer(self.numbers, self.other)),
        ZEROS,
    ),
    "a circulant matrix": (lambda self, h: functional.linear(h, self.numbers[self.order]), VECTOR),
    "a diagonal": (lambda self, h: functional.linear(h, torch.diag(self.numbers)), ZEROS + 1),
    "an update of a diagonal": (
        lambda self, h: functional.linear(h, self.eye + torch.diag(self.numbers)),
        ZEROS,
    ),
    "a token": (lambda self, h: torch.where(self.mask, h, self.numbers) * h.tanh(), ZEROS),
}
PARTS = {
    "a_scale": torch.ones(5),
    "other": MATRIX[1],
    "eye": MATRIX,
    "mask": MASK > 0,
    "order": (torch.arange(5) - torch.arange(5)[:, None]) % 5,
}


@pytest.mark.parametrize("name", STEPS)
def test_zeros_and_ones_of_a_parameter_are_no_structure(name):
    step, numbers = STEPS[name]

    def model():
        made = network(step, numbers, **PARTS)
        made.a_scale = nn.Parameter(made._buffers.pop("a_scale"))
        return made

    assert layers_and_trained(model()) == layers_and_trained(randomized(model()))


def test_a_frozen_parameter_is_a_mask():
    model = network(STEPS["a gate"][0], MASK)
    model.numbers.requires_grad_(False)
    strengths = neuron_graph(model, example_inputs=POINTS).blocks[0].strengths
    torch.testing.assert_close(strengths, model.start.weight.T.abs() * MASK)


def single(n_outputs):
    layer = nn.Linear(5, n_outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(n_outputs, 5))
    return layer


def pruned():
    return prune.custom_from_mask(nn.Linear(5, 1), "weight", torch.eye(1, 5))


LAYERS = {
    "one output": lambda: single(1),
    "one output, pruned": pruned,
    "weight norm": lambda: parametrizations.weight_norm(single(5)),
    "spectral norm": lambda: parametrizations.spectral_norm(single(5)),
    "orthogonal": lambda: parametrizations.orthogonal(single(5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_one_input_for_each_output_is_a_layer(name):
    layer = LAYERS[name]()
    end = nn.Linear(layer.out_features, 2)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), layer, nn.ReLU(), end)
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, layer.out_features, 2]
    torch.testing.assert_close(found.blocks[1].strengths, layer.weight.T.abs())
