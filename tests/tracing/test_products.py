"""Linear layers written as a product, element by element, and a sum: the graph of the named one."""

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from operation_table.sums_of_products import PRODUCTS
from small_modules import Forward, linear, randomized

POINTS = torch.zeros(1, 3)
GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = nn.Parameter(torch.randn(5, 6, generator=GENERATOR))


def assert_middle(model, expected, sizes=(3, 6, 5, 2)):
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == list(sizes)
    torch.testing.assert_close(found.blocks[1].strengths, expected)


def network(step, n_out=5, **parts):
    model = Forward(
        lambda self, x: self.end(step(self, self.start(x))),
        start=nn.Linear(3, 6),
        end=nn.Linear(n_out, 2),
        w=WEIGHT,
        **parts,
    )
    return model.requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_and_a_sum_are_a_linear_layer(name):
    function = PRODUCTS[name]
    model = network(lambda self, h: function(h, self.w))
    matrix = function(torch.eye(6), WEIGHT.detach())
    assert_middle(model, matrix.abs())


def test_on_the_input():
    model = Forward(
        lambda self, x: self.end((x.unsqueeze(1) * self.w[:, :3]).sum(-1)), end=linear(5, 2)
    )
    model.w = WEIGHT
    found = neuron_graph(model.requires_grad_(False), example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 2]
    torch.testing.assert_close(found.blocks[0].strengths, WEIGHT[:, :3].abs().T)


@pytest.mark.parametrize("keepdim", [True, False])
def test_one_output(keepdim):
    def step(self, h):
        return (h * self.w[0]).sum(-1, keepdim=keepdim).reshape(-1, 1)

    assert_middle(network(step, 1), WEIGHT[:1].abs().T, (3, 6, 1, 2))


def test_channels_at_every_pixel():
    def forward(self, x):
        return self.end((self.start(x).unsqueeze(1) * self.w[:, :, None, None]).sum(2))

    model = Forward(forward, start=nn.Conv2d(2, 6, 1), end=nn.Conv2d(5, 3, 1), w=WEIGHT)
    found = neuron_graph(
        model.requires_grad_(False), include=("input",), example_inputs=torch.zeros(1, 2, 4, 4)
    )
    assert found.layer_sizes == [2, 6, 5, 3]
    torch.testing.assert_close(found.blocks[1].strengths, WEIGHT.abs().T)


def test_the_strengths_follow_the_weights_and_their_gradient():
    model = randomized(network(lambda self, h: (h.unsqueeze(1) * self.w[None]).sum(-1)))
    model.w = nn.Parameter(torch.ones(5, 6))
    graph = neuron_graph(model, example_inputs=POINTS)
    graph.blocks[1].strengths.sum().backward()
    assert torch.equal(model.w.grad, torch.ones(5, 6))


def test_weighted_pixels_are_still_their_channels():
    """They are summed where they lie, as in a weighted average."""
    weights = torch.ones(4, 4)

    def forward(self, x):
        return self.end((self.start(x) * self.weights).sum((2, 3)))

    model = Forward(forward, start=nn.Conv2d(2, 6, 1), end=nn.Linear(6, 3), weights=weights)
    found = neuron_graph(model, include=("input", "dense"), example_inputs=torch.zeros(1, 2, 4, 4))
    assert found.layer_sizes == [2, 6, 3]


def test_a_weighted_sum_of_layers_is_a_sum_of_them():
    def forward(self, x):
        both = torch.stack([self.a(x), self.b(x)], 1)
        return self.end((both * self.shares[:, None]).sum(1))

    parts = {"a": linear(3, 4), "b": linear(3, 4), "end": linear(4, 2)}
    model = Forward(forward, **parts, shares=torch.tensor([0.25, 0.75]))
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 3, 4, 2]
    assert sorted(float(b.strengths.detach().mean()) for b in found.blocks) == [0.25, 0.75, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        lambda self, h: (h.unsqueeze(1) * self.w).relu().sum(-1),
        lambda self, h: (h.unsqueeze(1) * self.w).amax(-1),
        lambda self, h: (h.unsqueeze(1) / self.w).sum(-1),
        lambda self, h: (h.unsqueeze(1) * self.w).transpose(1, 2).sum(1),
        lambda self, h: (h.unsqueeze(1).expand(-1, 5, -1) * self.w).sum(-1),
        lambda self, h: (h[:, None, None] * self.w[:, None].expand(5, 2, 6)).sum(-1).sum(-1),
    ],
)
def test_what_cannot_be_taken_for_a_linear_layer_is_refused(step):
    message = r"^aten\.\w+ cannot be followed: .* write torch\.nn\.Linear, or torch\.matmul"
    with pytest.raises(InputError, match=message):
        neuron_graph(network(step), example_inputs=POINTS)
