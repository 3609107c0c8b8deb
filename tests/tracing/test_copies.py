"""An element that is copied and summed counts as often as it is added, as by a plus."""

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from clusterability.tracing.places import Places
from small_modules import Forward, strengths_of_maps

X = torch.rand(2, 6)
VECTOR = torch.tensor([0.5, 1.5])
PART = (0, 3)


@cache
def adjacency(step):
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 5), "end": nn.Linear(5, 3), "s": torch.rand(5)}
    network = Forward(
        lambda self, x: self.end(step(self.a(x).relu(), self.b(x).relu(), self.s)), **parts
    )
    return trace(network, example_inputs=X).graph.to_scipy().toarray()


def twice(h, *_):
    return h + h


def four_times(h, *_):
    return 4 * h


def both(h, g, _):
    return h + g


def two_to_one(h, g, _):
    return 2 * h + g


def sum_twice(h, *_):
    return 2 * h.sum(1, keepdim=True).expand(2, 5)


def more_of_two(h, *_):
    return torch.cat([2 * h[:, :2], h[:, 2:]], 1)


def taken(h):
    return torch.take(h, torch.arange(10).view(2, 5).expand(2, 2, 5))


WAYS = {
    "expand": (twice, lambda h, *_: h.expand(2, 2, 5).sum(0)),
    "expand, last axis": (twice, lambda h, *_: h[:, :, None].expand(2, 5, 2).sum(-1)),
    "expand, mean": (twice, lambda h, *_: 2 * h.expand(2, 2, 5).mean(0)),
    "expand by a plus": (twice, lambda h, *_: (h + torch.zeros(2, 2, 5)).sum(0)),
    "expand by a product": (twice, lambda h, *_: (h * torch.ones(2, 2, 5)).sum(0)),
    "expand, weighted": (twice, lambda h, *_: (VECTOR[:, None] * h[:, None]).sum(1)),
    "expand twice": (four_times, lambda h, *_: h.expand(2, 2, 5).sum(0).expand(2, 2, 5).sum(0)),
    "expand along two axes": (four_times, lambda h, *_: h.expand(2, 2, 2, 5).sum((0, 1))),
    "index": (twice, lambda h, *_: h[:, None][:, [0, 0]].sum(1)),
    "gather": (twice, lambda h, *_: h[:, None].gather(1, torch.zeros(2, 2, 5).long()).sum(1)),
    "take": (twice, lambda h, *_: taken(h).sum(0)),
    "repeat": (twice, lambda h, *_: h.repeat(1, 2).view(2, 2, 5).sum(1)),
    "repeat_interleave": (twice, lambda h, *_: h.repeat_interleave(2, 1).view(2, 5, 2).sum(2)),
    "einsum": (twice, lambda h, *_: torch.einsum("kbi->bi", h.expand(2, 2, 5))),
    "roll": (twice, lambda h, *_: (h[None] + h[None].roll(1, 0))[0]),
    "running sum": (twice, lambda h, *_: h.expand(3, 2, 5).cumsum(0)[1]),
    "summed to a size": (twice, lambda h, *_: h.expand(2, 2, 5).sum_to_size(2, 5)),
    "pooled first": (twice, lambda h, *_: F.avg_pool1d(h[:, :, None].expand(2, 5, 4), 2).sum(-1)),
    "upsampled": (four_times, lambda h, *_: F.interpolate(h[:, :, None], 4).sum(-1)),
    "activated": (lambda h, *_: 2 * h.tanh(), lambda h, *_: h.expand(2, 2, 5).tanh().sum(0)),
    "of a stack": (
        lambda h, g, _: 2 * h + 2 * g,
        lambda h, g, _: torch.stack([h, g])[[0, 0, 1, 1]].sum(0),
    ),
    "with a stack": (
        lambda h, g, _: 3 * h + g,
        lambda h, g, _: (h.expand(2, 2, 5) + torch.stack([g, h])).sum(0),
    ),
    "windows of a stack": (both, lambda h, g, _: torch.stack([h, g, h]).unfold(0, 2, 1).sum(-1)[0]),
    "windows of one": (twice, lambda h, *_: torch.stack([h, h, h]).unfold(0, 2, 1).sum(-1)[1]),
    "neurons": (sum_twice, lambda h, *_: h.repeat(1, 2).sum(1, keepdim=True).expand(2, 5)),
    "some neurons": (
        lambda h, *_: (2 * h[:, :1] + h[:, 1:2]).expand(2, 5),
        lambda h, *_: h[:, [0, 0, 1]].sum(1, keepdim=True).expand(2, 5),
    ),
    "a part is added": (more_of_two, lambda h, *_: h + F.pad(h[:, :2], PART)),
    "a part is added first": (more_of_two, lambda h, *_: F.pad(h[:, :2], PART) + h),
    "a part, scaled": (
        lambda h, _, s: torch.cat([h[:, :2] * (1 + s[:2]), h[:, 2:]], 1),
        lambda h, _, s: h + F.pad(h[:, :2] * s[:2], PART),
    ),
    "parts that overlap": (
        lambda h, *_: torch.cat([3 * h[:, :2], 2 * h[:, 2:4], h[:, 4:]], 1),
        lambda h, *_: h + F.pad(h[:, :2], PART) + F.pad(h[:, :4], (0, 1)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_the_same_graph_as_by_a_plus(name):
    named, way = WAYS[name]
    hidden = torch.rand(2, 2, 5, generator=torch.Generator().manual_seed(0))
    vector = torch.rand(5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(way(*hidden, vector), named(*hidden, vector))
    np.testing.assert_allclose(adjacency(way), adjacency(named), rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_pixels_count_once_and_copies_of_them_as_often_as_they_are_added():
    once = strengths_of_maps(lambda h: h.sum((2, 3)))
    double = strengths_of_maps(lambda h: 2 * h.sum((2, 3)))
    for step in (
        lambda h: h.flip(2).roll(1, 3).flatten(2).sum(2),
        lambda h: F.max_pool2d(h, 2).sum((2, 3)),
        lambda h: F.pad(h, (1, 1)).sum((2, 3)),
        lambda h: F.interpolate(h, 3, mode="bilinear").sum((2, 3)),
        lambda h: F.pixel_shuffle(F.pixel_unshuffle(h, 2), 2).sum((2, 3)),
    ):
        np.testing.assert_allclose(strengths_of_maps(step), once, rtol=1e-5)
    for step in (
        lambda h: h.expand(2, 4, 4, 6).sum((0, 2, 3))[None],
        lambda h: torch.cat([h, h], 3).sum((2, 3)),
        lambda h: h.repeat_interleave(2, 2).sum((2, 3)),
        lambda h: h.expand(2, 4, 4, 6).sum(0, True).mean((2, 3)),
    ):
        np.testing.assert_allclose(strengths_of_maps(step), double, rtol=1e-5)


def test_a_running_sum_of_many_copies_is_refused():
    with pytest.raises(InputError, match=r"^aten.cumsum .*sums 65 values one after another"):
        adjacency(lambda h, *_: h.expand(65, 2, 5).cumsum(0)[1])


def test_a_long_chain_of_moves_is_followed():
    places = Places(lambda: torch.arange(3))
    for _ in range(5000):
        places = Places(lambda numbers: numbers + 1, places)
    assert places.numbers().tolist() == [5000, 5001, 5002]
