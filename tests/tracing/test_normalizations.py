"""Normalizations written by hand: the graph of the same function by its name."""

from functools import cache

import pytest
import torch
from torch import nn

from clusterability import normalized_cut
from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from operation_table.normalizations_by_hand import FEATURES, MAPS
from small_modules import Forward, randomized

N = 6


def assert_same_graph(found, expected):
    assert found.layer_sizes == expected.layer_sizes
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


@cache
def features_graph(function):
    parts = {"start": nn.Linear(3, N), "end": nn.Linear(N, 2), "g": nn.Parameter(torch.ones(N))}
    model = Forward(lambda self, x: self.end(function(self.start(x), self.g)), **parts)
    return neuron_graph(randomized(model), example_inputs=torch.zeros(1, 3))


@cache
def maps_graph(function):
    parts = {"start": nn.Conv2d(2, N, 3), "end": nn.Conv2d(N, 2, 1)}
    model = Forward(
        lambda self, x: self.end(function(self.start(x), self.g)),
        **parts,
        g=nn.Parameter(torch.ones(N)),
    )
    return neuron_graph(
        randomized(model), include=("input",), example_inputs=torch.zeros(1, 2, 5, 5)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_features_are_joined_as_by_the_named_function(name):
    by_hand, named = FEATURES[name]
    assert_same_graph(features_graph(by_hand), features_graph(named))


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_channels_are_joined_as_by_the_named_function(name):
    by_hand, named = MAPS[name]
    assert_same_graph(maps_graph(by_hand), maps_graph(named))


def planted():
    """Two halves, weakly joined."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        for layer in model[::2]:
            n_out, n_in = layer.weight.shape
            same = (torch.arange(n_out)[:, None] * 2 // n_out) == (torch.arange(n_in) * 2 // n_in)
            layer.weight.copy_(torch.where(same, 1.0, 0.01))
    return model


def graph(forward, **parts):
    return neuron_graph(Forward(forward, **parts), example_inputs=torch.zeros(1, 3))


def test_a_residual_stream_is_normalized_as_a_whole():
    """What is normalized is a sum, and its mean holds the neurons of both."""
    parts = {"a": nn.Linear(3, N), "b": nn.Linear(N, N), "c": nn.Linear(N, 2)}

    def by_hand(self, x):
        h = self.a(x)
        h = h + 0.5 * self.b(h)
        h = h - h.mean(-1, keepdim=True)
        return self.c(h / h.std(-1, keepdim=True))

    def named(self, x):
        h = self.a(x)
        return self.c(nn.functional.layer_norm(h + 0.5 * self.b(h), (N,)))

    assert_same_graph(graph(by_hand, **parts), graph(named, **parts))


def test_a_part_over_the_norm_of_the_whole():
    parts = {"a": nn.Linear(3, N), "b": nn.Linear(3, N), "c": nn.Linear(N, 2)}

    def by_hand(self, x):
        h, rest = self.a(x), self.b(x)
        return self.c(h / torch.cat([h, rest], 1).norm(dim=1, keepdim=True))

    found = graph(by_hand, **parts)
    expected = graph(lambda self, x: self.c(self.a(x)), a=parts["a"], c=parts["c"])
    assert_same_graph(found, expected)


def test_statistics_of_other_neurons_join_them():
    """The mean of one layer that gates another carries it there."""
    parts = {"a": nn.Linear(3, 4), "b": nn.Linear(3, 5), "c": nn.Linear(5, 2)}
    found = graph(lambda self, x: self.c(self.b(x) * self.a(x).mean(1, keepdim=True)), **parts)
    strengths = [block.strengths.detach() for block in found.blocks]
    expected = parts["a"].weight.detach().abs().sum(0)[:, None].expand(3, 5)
    assert any(s.shape == (3, 5) and torch.allclose(s, expected) for s in strengths)


def test_sums_of_halves_are_no_statistics():
    """Each of them goes to one neuron: a weight could do so."""
    parts = {"a": nn.Linear(3, 8), "c": nn.Linear(4, 2)}

    def by_axis(self, x):
        h = self.a(x)
        return self.c(h.view(-1, 2, 4).sum(1) * h[:, :4])

    def by_part(self, x):
        h = self.a(x)
        return self.c((h[:, :4] + h[:, 4:]) * h[:, :4])

    assert_same_graph(graph(by_axis, **parts), graph(by_part, **parts))


def test_a_mean_that_a_weight_reads_holds_every_neuron():
    parts = {"a": nn.Linear(3, 4), "c": nn.Linear(1, 2)}
    found = graph(lambda self, x: self.c(self.a(x).mean(1, keepdim=True)), **parts)
    expected = parts["a"].weight.detach().abs().mean(0)[:, None]
    torch.testing.assert_close(found.blocks[0].strengths.detach(), expected)


def test_a_gate_of_two_neurons_is_no_window():
    """Each of them stands in one gate, as a layer could join them."""
    parts = {"a": nn.Linear(3, 8), "c": nn.Linear(4, 2)}

    def gated(self, x):
        h = self.a(x)
        return self.c(h[:, :4] * (h[:, :4] + h[:, 4:]).sigmoid())

    found = graph(gated, **parts)
    weight = parts["a"].weight.detach().abs().T
    expected = weight[:, :4] + weight[:, 4:]
    torch.testing.assert_close(found.blocks[0].strengths.detach(), expected)


def test_differences_of_running_sums_are_refused():
    """Their common part is nothing, and would count twice."""

    def windows(self, x):
        sums = nn.functional.pad(self.a(x).square(), (1, 2)).cumsum(1)
        return self.c(sums[:, 3:] - sums[:, :-3])

    with pytest.raises(InputError, match="takes a running sum away from another"):
        graph(windows, a=nn.Linear(3, N), c=nn.Linear(N, 2))


@pytest.mark.slow
def test_a_planted_network_has_its_groups_with_either_norm():
    """And a wide one is read at once: a term for each neuron took half a minute."""

    first, *others = planted()
    norms = (nn.LayerNorm(8), Forward(lambda _, h: nn.functional.normalize(h)))
    graphs = [neuron_graph(nn.Sequential(first, norm, *others)) for norm in norms]
    halves = torch.cat([torch.arange(n) * 2 // n for n in (8, 8, 8, 4)])
    named, by_hand = (normalized_cut(found, halves) for found in graphs)
    assert named == by_hand < 0.1
    wide = nn.Sequential(nn.Linear(3, 2000), Forward(lambda _, h: nn.functional.normalize(h)))
    assert neuron_graph(nn.Sequential(*wide, nn.Linear(2000, 2))).layer_sizes == [3, 2000, 2]


def test_a_sum_over_too_many_neurons_is_refused_with_its_reader():
    model = nn.Sequential(
        nn.Linear(3, 2000), Forward(lambda _, h: h.sum(1, keepdim=True)), nn.Linear(1, 2)
    )
    with pytest.raises(ValueError, match=r"^'2' holds a sum, .* joins 2000 different neurons"):
        neuron_graph(model)
