"""Networks whose residual branches begin at zero are measured, with a warning."""

import pytest
import torch
from torch import nn

from clusterability import measure
from clusterability.errors import InputError
from small_modules import Forward


def by_norm(value):
    def forward(self, x):
        return (x + self.norm(self.second(self.first(x).relu()))).relu()

    parts = {"first": nn.Conv2d(8, 8, 3, padding=1), "second": nn.Conv2d(8, 8, 3, padding=1)}
    block = Forward(forward, **parts, norm=nn.BatchNorm2d(8))
    nn.init.constant_(block.norm.weight, value)
    return block


def convolutional(value):
    blocks = [by_norm(value) for _ in range(2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *blocks, *head)


def scaled(value):
    def forward(self, x):
        return x + self.scale * self.second(self.first(x).relu())

    parts = {"first": nn.Linear(16, 16), "second": nn.Linear(16, 16)}
    blocks = [Forward(forward, **parts, scale=nn.Parameter(torch.full((16,), value)))]
    return nn.Sequential(nn.Linear(6, 16), *blocks, nn.Linear(16, 4))


def measured(network, shape, include=()):
    return measure(network, n_clusters=2, n_shuffles=1, input_shape=shape, include=include)


@pytest.mark.slow
@pytest.mark.parametrize("include", [(), ("input", "dense")])
def test_branches_of_zeros_are_told(include):
    torch.manual_seed(0)
    result = measured(convolutional(0.0), (3, 8, 8), include)
    n_pairs = 3  # each branch reaches all that follows
    told = [text for text in result.warnings if "are zero" in text]
    assert len(told) == 1
    assert f"and {n_pairs - 1} more such pairs: as with a residual branch" in told[0]
    assert not any("are zero" in t for t in measured(convolutional(1.0), (3, 8, 8)).warnings)
    n_isolated = sum(layer.n_isolated for layer in result.layers)
    assert n_isolated == (0 if include else 8)  # only what is left out reaches the last layer


@pytest.mark.slow
def test_a_scale_of_zero_is_told_too():
    warnings = measured(scaled(0.0), (6,)).warnings
    assert any(
        text.startswith("all strengths between '1.first' and 'to 2' are") for text in warnings
    )
    assert not any("are zero" in text for text in measured(scaled(1e-6), (6,)).warnings)


def test_a_layer_that_nothing_reaches_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
    nn.init.zeros_(network[2].weight)
    with pytest.raises(InputError, match="strengths of zero alone"):
        measured(network, (3, 8, 8))
