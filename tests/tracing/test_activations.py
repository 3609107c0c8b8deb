"""Activations written as sums, products and choices of functions of one value hold it once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.sources import trace
from small_modules import Forward

SLOPES = torch.tensor([0.5, 2.0, 0.0, 0.25, 1.0])


def adjacency(activation):
    """The graph of a network with this function between two layers."""
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "gate": nn.Linear(5, 5), "b": nn.Linear(5, 4)}
    function = lambda self, x: self.b(activation(self, self.a(x)))  # noqa: E731
    network = Forward(function, **parts, slope=nn.Parameter(SLOPES))
    network.norm, network.other = nn.BatchNorm1d(5), nn.BatchNorm1d(5)
    for norm in (network.norm, network.other):
        nn.init.uniform_(norm.weight, 1, 2)
    return trace(network, input_shape=(6,)).graph.to_scipy().toarray()


def exp_minus_1(x):
    return torch.exp(x) - 1


def tanh_gelu(_, h):
    return 0.5 * h * (1 + torch.tanh(0.8 * (h + 0.044715 * h**3)))


BY_HAND = {
    "tanhshrink": (lambda _, h: F.tanhshrink(h)),
    "tanhshrink by hand": (lambda _, h: h - torch.tanh(h)),
    "tanhshrink of a view": (lambda _, h: h - torch.tanh(h.view(-1, 5, 1)).view(-1, 5)),
    "gelu": tanh_gelu,
    "mish": (lambda _, h: h * torch.tanh(F.softplus(h))),
    "relu": (lambda _, h: 0.5 * (h + h.abs())),
    "elu of two parts": (lambda _, h: F.relu(h) + exp_minus_1(h).clamp(max=0)),
    "elu by where": (lambda _, h: torch.where(h > 0, h, exp_minus_1(h))),
    "silu by where": (lambda _, h: torch.where(h > 0, h, h * torch.sigmoid(h))),
    "maximum with silu": (lambda _, h: torch.maximum(h, h * torch.sigmoid(h))),
    "swish": (lambda self, h: h * torch.sigmoid(self.slope * h)),
    "swish as a quotient": (lambda self, h: h / (1 + torch.exp(-self.slope * h))),
    "snake": (lambda self, h: h + torch.sin(self.slope * h) ** 2 / (self.slope + 1)),
    "prelu of two parts": (lambda self, h: F.relu(h) - self.slope * F.relu(-h)),
    "prelu by where": (lambda self, h: torch.where(h > 0, h, self.slope * h)),
    "prelu by maximum": (lambda self, h: torch.maximum(h, self.slope * h)),
    "leaky relu by masked_fill": (lambda _, h: h.masked_fill(h < 0, 0.0) + 0.1 * h),
    "addcmul": (lambda _, h: torch.addcmul(h, h, torch.sigmoid(h))),
    "lerp": (lambda _, h: torch.lerp(h, torch.tanh(h), 0.3)),
    "straight-through": (lambda _, h: h + (torch.round(h) - h).detach()),
    "soft shrinkage": (lambda _, h: h - h.clamp(-0.5, 0.5)),
    "twice gated": (lambda _, h: h * torch.sigmoid(h) + h * torch.tanh(h)),
    "parts of a layer": (
        lambda self, h: torch.cat([(p := h[:, 1:3]) * torch.sigmoid(p * self.slope[:2]), p, h], 1)[
            :, [4, 0, 1, 7, 8]
        ]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("activation", BY_HAND.values(), ids=BY_HAND)
def test_an_activation_by_hand_is_one(activation):
    np.testing.assert_allclose(adjacency(activation), adjacency(lambda _, h: F.relu(h)), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "usual"),
    [
        (lambda _, h: h.relu() + h.relu(), lambda _, h: 2 * h.relu()),
        (lambda self, h: self.slope * h + h, lambda self, h: (1 + self.slope) * h),
        (
            lambda self, h: (self.slope * h) * torch.sigmoid(h),
            lambda self, h: self.slope * F.silu(h),
        ),
        (lambda self, h: (self.slope * h) * h, lambda self, h: self.slope * h**2),
        (
            lambda self, h: (n := self.norm(h)) - torch.tanh(n),
            lambda self, h: F.tanhshrink(self.norm(h)),
        ),
        (
            lambda self, h: h + h * torch.sigmoid(self.gate(h)),
            lambda self, h: h * (1 + torch.sigmoid(self.gate(h))),
        ),
        (
            lambda self, h: F.tanhshrink(h) + self.gate(F.tanhshrink(h)),
            lambda self, h: h.tanh() + self.gate(h.tanh()),
        ),
    ],
)
def test_what_is_not_of_one_value_alone_counts_as_before(other, usual):
    np.testing.assert_allclose(adjacency(other), adjacency(usual), rtol=1e-6)


def test_a_skip_over_weights_counts_both_ways():
    n_ends = np.count_nonzero(adjacency(lambda _, h: h.tanh()))
    with_skip = adjacency(lambda self, h: h + self.gate(h.tanh()))
    assert np.count_nonzero(with_skip) == n_ends + 2 * (6 * 5 + 5 * 5)


@pytest.mark.slow
def test_what_two_batch_norms_scale_adds_up():
    of_both = adjacency(lambda self, h: self.norm(h).relu() + self.other(h).tanh())
    of_each = adjacency(lambda self, h: self.norm(h)), adjacency(lambda self, h: self.other(h))
    into_first = np.s_[:6, 6:11]
    np.testing.assert_allclose(
        of_both[into_first], sum(found[into_first] for found in of_each), rtol=1e-6
    )
