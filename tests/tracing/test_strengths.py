"""Strengths of small forward passes, counted by hand: all weights are 1."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, dropout, max_pool1d, max_pool2d

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from small_modules import Forward

IMAGE = torch.zeros(1, 3, 8, 8)
VECTOR = torch.zeros(1, 3)


def ones(module):
    for parameter in module.parameters():
        nn.init.ones_(parameter)
    return module


def totals(module, inputs):
    graph = neuron_graph(ones(module), example_inputs=inputs, include=("input", "dense"))
    sizes = [layer.n_neurons for layer in graph.layers]
    return sizes, [round(float(block.strengths.detach().sum()), 4) for block in graph.blocks]


def two_convolutions(between, **parts):
    return Forward(
        lambda self, x: self.b(between(self, self.a(x))),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(4, 5, 1),
        **parts,
    )


def running(value):
    norm = nn.InstanceNorm2d(4, track_running_stats=True)
    nn.init.constant_(norm.running_var, value)
    return norm


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "first"),
    [
        (two_convolutions(lambda self, h: self.n(h), n=nn.LayerNorm([4, 8, 8])), 12),
        (two_convolutions(lambda self, h: h * self.m, m=nn.Parameter(torch.ones(8, 8))), 12),
        (two_convolutions(lambda _, h: torch.cat([h, h], 2)), 12),
        (two_convolutions(lambda _, h: max_pool2d(h, 2)), 12),
        (two_convolutions(lambda _, h: h + h), 24),
        (two_convolutions(lambda _, h: h + torch.relu(h)), 12),
        (two_convolutions(lambda self, h: self.n(h), n=running(100.0)), 1.2),
    ],
)
def test_a_channel_has_one_strength_whatever_its_pixels(module, first):
    assert totals(module, IMAGE) == ([3, 4, 5], [first, 20])


def test_pooling_follows_its_windows_where_they_hold_different_neurons():
    module = Forward(
        lambda self, x: self.b(max_pool1d(self.a(x).unsqueeze(1), 2).squeeze(1)),
        a=nn.Linear(3, 8),
        b=nn.Linear(4, 2),
    )
    assert totals(module, VECTOR) == ([3, 4, 2], [24, 8])


def test_a_mean_over_neurons_counts_each_by_its_share():
    module = Forward(
        lambda self, x: self.b(self.a(x).mean(1, keepdim=True)),
        a=nn.Linear(3, 4),
        b=nn.Linear(1, 2),
    )
    assert totals(module, VECTOR) == ([3, 1, 2], [3, 2])


@pytest.mark.parametrize(
    "view", [lambda h: h, lambda h: h.flatten(1).view(-1, 4), lambda h: h.unsqueeze(0)[0]]
)
@pytest.mark.parametrize("first", ["view", "dropout"])
def test_changing_in_place_what_dropout_returns_is_followed_or_refused(view, first):
    """Before 2.14, torch does not tell that dropout returns its input in evaluation."""

    def forward(self, x):
        h = self.a(x)
        if first == "view":
            y = dropout(view(h), 0.5, self.training)
        else:
            y = view(dropout(h, 0.5, self.training))
        y += self.b(x)
        return self.d(y), self.e(h)

    assert_followed_or_refused(forward)


def test_changing_in_place_a_view_of_what_dropout_returns_and_others_read():
    def forward(self, x):
        h = self.a(x)
        y = dropout(h, 0.5, self.training)
        part = y.view(-1, 4)
        part += self.b(x)
        return self.d(y), self.e(h)

    assert_followed_or_refused(forward)


@pytest.mark.parametrize(
    "view",
    [
        lambda h: h.expand(1, 4),
        lambda h: h.expand_as(h),
        lambda h: h.contiguous().type_as(h).sum_to_size(1, 4),
    ],
)
def test_changing_a_view_in_place_changes_what_it_is_a_view_of(view):
    def forward(self, x):
        h = self.a(x)
        y = view(h)
        y += self.b(x)
        return self.d(h), self.e(h)

    assert_followed_or_refused(forward)


@pytest.mark.parametrize(
    ("step", "layer_sizes"),
    [
        (lambda h, g: h + (g - h), [3, 4, 2]),  # g, and no more of h
        (lambda h, g: h + (g[:, :1] - h), [3, 3, 4, 2]),
        (lambda h, g: h + torch.sub(g, h, alpha=2), [3, 3, 4, 2]),
        (lambda h, g: g + (g - h), [3, 3, 4, 2]),
    ],
)
def test_what_takes_the_place_of_a_tensor_beside_changes_of_views(step, layer_sizes):
    def forward(self, x):
        h, g = self.a(x), self.b(x)
        h[:, :2].mul_(2)
        return self.d(step(h, g))

    parts = {name: nn.Linear(3, 4) for name in "ab"} | {"d": nn.Linear(4, 2)}
    graph = neuron_graph(Forward(forward, **parts), example_inputs=VECTOR)
    assert graph.layer_sizes == layer_sizes


def assert_followed_or_refused(forward):
    def written_apart(self, x):
        h = self.a(x) + self.b(x)
        return self.d(h), self.e(h)

    parts = {name: nn.Linear(3, 4) for name in "ab"} | {name: nn.Linear(4, 2) for name in "de"}
    found, refusal = None, ""
    try:
        found = neuron_graph(Forward(forward, **parts), example_inputs=VECTOR)
    except InputError as error:
        refusal = str(error)
    if found is None:
        assert "changes in place what dropout returns" in refusal
    else:
        expected = neuron_graph(Forward(written_apart, **parts), example_inputs=VECTOR)
        assert found.layer_sizes == expected.layer_sizes
        torch.testing.assert_close(found.flat_strengths(), expected.flat_strengths())


@pytest.mark.slow
def test_ways_that_double_with_every_block_are_one_path():
    def forward(self, x):
        x = self.stem(x)
        for norm in self.norms:
            y = norm(x)
            x = x + (avg_pool2d(y, 3, 1, 1) - y)
        return self.last(x)

    norms = nn.ModuleList(nn.GroupNorm(1, 4) for _ in range(30))
    parts = {"stem": nn.Conv2d(3, 4, 1), "norms": norms, "last": nn.Conv2d(4, 2, 1)}
    _, (first, _) = totals(Forward(forward, **parts).double(), IMAGE.double())
    assert first == pytest.approx(12 * 3.0**30)


@pytest.mark.slow
def test_a_guess_keeps_the_batch():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(4), nn.Conv2d(4, 4, 1))
    module = Forward(
        lambda self, x: self.f(self.m(x).view(-1, 4 * 49)), m=model, f=nn.Linear(196, 3)
    )
    graph = neuron_graph(module, include=("input", "dense"))
    assert [layer.n_neurons for layer in graph.layers] == [1, 4, 4, 3]


def test_a_dense_layer_may_be_registered_first():
    module = Forward(
        lambda self, x: self.f(self.c(x).mean((2, 3))), f=nn.Linear(4, 2), c=nn.Conv2d(1, 4, 3)
    )
    graph = neuron_graph(module, include=("input", "dense"))
    assert [layer.n_neurons for layer in graph.layers] == [1, 4, 2]


def test_a_module_that_is_its_own_copy_is_refused():
    class Own(nn.Linear):
        def __deepcopy__(self, memo):
            return self

    module = Own(3, 3).train()
    with pytest.raises(InputError, match="a part of it is its own copy"):
        neuron_graph(module)
    assert module.training
