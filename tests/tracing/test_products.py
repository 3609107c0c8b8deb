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


def test_a_matrix_over_neurons_is_a_layer_of_their_inverses():
    model = network(lambda self, h: (self.w / h[:, None]).sum(-1))
    assert_middle(model, WEIGHT.detach().abs().T)


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "join", [torch.stack, lambda rows, axis: torch.cat([r[:, None] for r in rows], axis)]
)
def test_layers_row_by_row(join):
    """What reads outputs of rows is a layer too, not a sum of these."""
    rows = torch.randn(4, 5, generator=GENERATOR)

    def network_by(product):
        def step(_, h):
            h = join([product(h, row) for row in WEIGHT.detach()], 1).relu()
            return join([product(h, row) for row in rows], 1)

        torch.manual_seed(0)
        return network(step, 4)

    found = neuron_graph(network_by(lambda h, row: (h * row).sum(-1)), example_inputs=POINTS)
    named = neuron_graph(network_by(lambda h, row: h @ row), example_inputs=POINTS)
    assert found.layer_sizes == named.layer_sizes
    assert found.layer_sizes.count(6) == 5
    for block, expected in zip(found.blocks, named.blocks, strict=True):
        torch.testing.assert_close(block.strengths, expected.strengths)


ENLARGED = {
    "each neuron by a row": lambda h, w: (h[:, :, None] * w.T).relu().flatten(1),
    "on the other side": lambda h, w: (w.T[None] * h.unsqueeze(2)).flatten(1),
    "expanded before": lambda h, w: (h[:, :, None].expand(-1, -1, 5) * w.T).flatten(1),
    "repeated before": lambda h, w: (h[:, :, None].repeat(1, 1, 5) * w.T).flatten(1),
    "divided": lambda h, w: (h[:, :, None] / w.T).flatten(1),
    "over each neuron": lambda h, w: (w.T / h[:, :, None]).flatten(1),
    "periodic": lambda h, w: torch.cat(
        [f(h[:, :, None] * w.T) for f in (torch.sin, torch.cos)], 1
    ).flatten(1),
    "one neuron by a row": lambda h, w: torch.sin(h[:, :1] * w[:, 0]),
    "one neuron after another": lambda h, w: sum(h[:, i : i + 1] * w[:, i] for i in range(3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("name", ENLARGED)
def test_neurons_times_several_trained_numbers_are_refused(name, hidden):
    """The trained numbers are a layer, and would count as factors, or on the input not at all."""
    start = nn.Linear(3, 6) if hidden else nn.Identity()
    points = torch.zeros(2, 3 if hidden else 6)
    n = ENLARGED[name](torch.zeros(1, 6), WEIGHT.detach()).shape[1]
    model = Forward(lambda self, x: self.end(ENLARGED[name](self.start(x), self.w)))
    model.start, model.end, model.w = start, nn.Linear(n, 2), WEIGHT
    with pytest.raises(InputError, match="'end' cannot be followed: it reads one neuron times"):
        neuron_graph(model, example_inputs=points)


@pytest.mark.parametrize("kind", [nn.Parameter, torch.Tensor])
def test_members_of_an_ensemble_with_factors_of_their_own(kind):
    """They share the layer that reads them, in which each neuron is one."""
    factors = kind(torch.rand(4, 6, generator=GENERATOR))
    model = network(lambda self, h: (h[:, None] * factors) @ self.w.T)
    model.factors = factors
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 6, 5, 2]


def test_a_factor_after_one_neuron_that_was_added_to_many_is_a_factor():
    def forward(self, x):
        return self.end((self.start(x) + self.one(x)) * self.factors)

    parts = {"start": linear(3, 4), "one": linear(3, 1), "end": linear(4, 2)}
    factors = nn.Parameter(torch.tensor([1.0, 2, 3, 4]))
    found = neuron_graph(Forward(forward, **parts, factors=factors), example_inputs=POINTS)
    assert found.layer_sizes == [3, 3, 4, 2]
    for block in found.blocks[:2]:
        torch.testing.assert_close(block.strengths, factors.expand(3, 4))


GATES = {
    "each number its neuron's": lambda h, gate, w: h * (1 + w * gate),
    "each number its neuron's, one by one": lambda h, gate, w: (gate * w).tanh() * h.sigmoid(),
    "in a sum": lambda h, gate, w: h + h * (gate * w),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GATES)
def test_a_gate_of_one_neuron_times_numbers_is_a_gate(name):
    """Numbers of a gate are no neurons where each multiplies a neuron of its own."""

    def forward(self, x):
        return self.end(GATES[name](self.start(x), self.one(x), self.factors))

    parts = {"start": linear(3, 4), "one": linear(3, 1), "end": linear(4, 2)}
    model = Forward(forward, **parts, factors=nn.Parameter(torch.rand(4)))
    plain = Forward(lambda self, x: self.end(self.start(x) * self.one(x)), **parts)
    found, expected = (neuron_graph(m, example_inputs=POINTS) for m in (model, plain))
    assert found.layer_sizes == expected.layer_sizes == [3, 3, 4, 2]


def test_a_gate_of_one_neuron_alone_is_refused():
    """Its numbers times another single neuron are neurons."""

    def forward(self, x):
        return self.end((self.one(x) * self.factors) * self.other(x))

    parts = {"one": linear(3, 1), "other": linear(3, 1), "end": linear(4, 2)}
    model = Forward(forward, **parts, factors=nn.Parameter(torch.rand(4)))
    with pytest.raises(InputError, match="'end' cannot be followed: it reads one neuron times"):
        neuron_graph(model, example_inputs=POINTS)
