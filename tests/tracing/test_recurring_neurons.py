"""Sums and means that take a neuron several times count it as often, in whatever form it recurs."""

import pytest
import torch
from torch.nn.functional import avg_pool1d, max_pool1d

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from clusterability.tracing.statistics import _by_counts
from small_modules import Forward, powers

NEURONS = [1.0, 10.0, 100.0]


def strengths(between, n_read):
    """What arrives from an input, whose weights to the three neurons are 1, 10 and 100."""
    network = Forward(
        lambda self, x: self.b(between(self.a(x))), a=powers(2, 3), b=powers(n_read, 2)
    )
    graph = neuron_graph(network, example_inputs=(torch.ones(1, 2),), include=("input", "dense"))
    return graph.blocks[0].strengths[0]


def rolled(h):
    return h + h.roll(1, 1)


def twice(h):
    return torch.cat([h, h], 1)


def overlapping(h):
    return torch.cat([h, h[:, :2]], 1)


@pytest.mark.parametrize(
    "between",
    [
        lambda h: h[:, [0, 0, 0, 1]].view(1, 2, 2).sum(2),
        lambda h: h[:, [0, 0, 0, 1]].view(1, 2, 2).mean(2),
        lambda h: h[:, [0, 0, 1, 0, 1, 2]].view(1, 2, 3).mean(2),
        lambda h: avg_pool1d(h[:, [0, 0, 1]].unsqueeze(1), 2, 1).flatten(1),
        lambda h: h[:, [0, 0, 1]].cumsum(1),
        lambda h: h.cumsum(1),
        lambda h: twice(h).sum(1, keepdim=True),
        lambda h: twice(h).mean(1, keepdim=True),
        lambda h: twice(h).cumsum(1),
        lambda h: avg_pool1d(twice(h), 4, 1),
        lambda h: torch.cat([h, h.flip(1)], 1).sum(1, keepdim=True),
        lambda h: torch.cat([h, 2 * h], 1).sum(1, keepdim=True),
        lambda h: overlapping(h).sum(1, keepdim=True),
        lambda h: overlapping(h).mean(1, keepdim=True),
        lambda h: torch.cat([h, h[:, :1]], 1).sum(1, keepdim=True),
        lambda h: torch.cat([h, h[:, :1]], 1).mean(1, keepdim=True),
        lambda h: torch.cat([h[:, :1], h, h], 1)[:, :6].view(1, 2, 3).sum(2),
        lambda h: torch.cat([h[:, :1], h, h[:, :1]], 1).sum(1, keepdim=True),
        lambda h: torch.cat([h[:, 1:], h, h], 1).view(1, 2, 4).sum(2),
        lambda h: h[:, [0, 0, 1, 0, 1, 1]].view(1, 2, 3).sum(2),
        lambda h: rolled(h).sum(1, keepdim=True),
        lambda h: rolled(h).mean(1, keepdim=True),
        lambda h: rolled(h).cumsum(1),
        lambda h: rolled(twice(h)).sum(1, keepdim=True),
        lambda h: avg_pool1d(rolled(h), 2, 1),
        lambda h: h.unfold(1, 2, 1).sum(2).sum(1, keepdim=True),
        lambda h: h.unfold(1, 2, 1).sum(2).mean(1, keepdim=True),
        lambda h: h.unfold(1, 2, 1).mean(2).sum(1, keepdim=True),
        lambda h: h.unfold(1, 2, 1).mean(2).mean(1, keepdim=True),
        lambda h: h.unfold(1, 2, 1).sum(2).cumsum(1),
        lambda h: avg_pool1d(avg_pool1d(h, 2, 1), 2, 1),
        lambda h: avg_pool1d(h, 2, 1).sum(1, keepdim=True),
        lambda h: avg_pool1d(avg_pool1d(h, 2, 1), 2, 1).mean(1, keepdim=True),
        lambda h: twice(h).unfold(1, 2, 1).sum(2).sum(1, keepdim=True),
        lambda h: h[:, [0, 0, 1]].unfold(1, 2, 1).sum(2).sum(1, keepdim=True),
        lambda h: h.unfold(1, 2, 1).sum(2)[:, [0, 0, 1]].sum(1, keepdim=True),
        lambda h: rolled(h.unfold(1, 2, 1).sum(2)).sum(1, keepdim=True),
        lambda h: twice(h.unfold(1, 2, 1).sum(2)).sum(1, keepdim=True),
        lambda h: rolled(avg_pool1d(h, 2, 1)),
        lambda h: rolled(h.unfold(1, 2, 1).sum(2)),
        lambda h: rolled(rolled(h)),
        lambda h: rolled(rolled(h)).sum(1, keepdim=True),
        lambda h: rolled(rolled(h)).mean(1, keepdim=True),
        lambda h: torch.cat([h, h.flip(1), 2 * h], 1).sum(1, keepdim=True),
        lambda h: avg_pool1d(h + h.flip(1), 2, 1),
        lambda h: avg_pool1d(h + h.flip(1), 2, 1).mean(1, keepdim=True),
    ],
)
def test_each_time_counts(between):
    expected = between(torch.tensor([NEURONS]))[0]
    torch.testing.assert_close(strengths(between, len(expected)), expected)


def test_a_maximum_takes_each_once():
    found = strengths(lambda h: max_pool1d(rolled(h), 2, 1), 2)
    assert found.tolist() == [111, 111]  # of 1 + 100, 10 + 1 and 100 + 10
    found = strengths(lambda h: twice(h).amax(1, keepdim=True), 1)
    assert found.tolist() == [111]
    found = strengths(lambda h: max_pool1d(h + h.flip(1), 2, 1), 2)
    assert found.tolist() == [121, 121]  # of 1 + 100 and twice 10
    found = strengths(lambda h: max_pool1d(h, 2, 1).sum(1, keepdim=True), 1)
    assert found.tolist() == [121]  # those of 1 + 10 and of 10 + 100


def pixels(between):
    """What arrives at a convolution from three channels, whose weights are 1, 10 and 100."""
    a, b = torch.nn.Conv1d(2, 3, 1, bias=False), torch.nn.Conv1d(1, 2, 1, bias=False)
    with torch.no_grad():
        a.weight.copy_(torch.tensor(NEURONS).view(3, 1, 1).expand(3, 2, 1))
    network = Forward(lambda self, x: self.b(between(self.a(x))), a=a, b=b)
    inputs = (torch.ones(1, 2, 4),)
    graph = neuron_graph(network, example_inputs=inputs, include=("input", "dense"))
    return graph.blocks[0].strengths[0].tolist()


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (lambda h: h.sum(1, keepdim=True), 111),
        (lambda h: twice(h).sum(1, keepdim=True), 222),
        (lambda h: torch.cat([h[..., :2], h[..., 2:]], 2).sum(1, keepdim=True), 111),
        (lambda h: torch.cat([h[..., :2], h[..., 2:]], 1).sum((1, 2)).view(1, 1, 1), 111),
        (lambda h: torch.cat([h[..., :2], h[..., 2:]], 1).mean((1, 2)).view(1, 1, 1), 37),
        (lambda h: torch.cat([h, h], 2).mean((1, 2), keepdim=True), 37),
    ],
    ids=["channels", "twice", "halves", "sum of halves", "mean of halves", "mean of copies"],
)
def test_pixels_of_a_channel_count_once(between, expected):
    assert pixels(between) == pytest.approx([expected])


def test_a_long_running_sum_of_neurons_that_recur_is_refused():
    with pytest.raises(InputError, match="it sums 90 values one after another"):
        strengths(lambda h: h[:, [0, 0, 1] * 30].cumsum(1), 90)


@pytest.mark.parametrize(
    ("last", "n_read"), [(lambda h: h.sum(1, keepdim=True), 1), (lambda h: avg_pool1d(h, 2, 1), 2)]
)
def test_running_sums_that_are_added_up_are_refused(last, n_read):
    with pytest.raises(InputError, match="it adds up running sums of neurons"):
        strengths(lambda h: last(h.cumsum(1)), n_read)


@pytest.mark.parametrize(
    "norm",
    [
        lambda c: c / (c.square().mean(1, keepdim=True) + 1e-6).sqrt(),
        lambda c: (c - c.mean(1, keepdim=True)) / (c.var(1, keepdim=True) + 1e-6).sqrt(),
        lambda c: torch.nn.functional.layer_norm(c, (3,)),
    ],
)
def test_a_mean_beside_running_sums_is_a_number(norm):
    assert strengths(lambda h: norm(h.cumsum(1)), 3).tolist() == [1, 11, 111]


def test_columns_by_counts_hold_each_member_as_often_as_it_is_there():
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        n_rows, n_columns, n_labels = torch.randint(1, 6, (3,), generator=generator).tolist()
        members = torch.randint(0, n_labels + 1, (n_rows, n_columns), generator=generator)
        found = torch.zeros(n_rows, n_labels + 1, dtype=torch.int64)
        for column, count in zip(*_by_counts(members), strict=True):
            found[torch.arange(n_rows), column] += count
        expected = (members[..., None] == torch.arange(n_labels + 1)).sum(1)
        torch.testing.assert_close(found[:, 1:], expected[:, 1:])
