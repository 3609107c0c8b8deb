"""Values that are stacked and taken together give the graph of the same function with a plus."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.sources import trace
from small_modules import Forward, strengths_of_maps

X = torch.rand(2, 6)


def adjacency(together):
    """Of a network 6-5-3 that reads what is made of two hidden layers, and a vector."""
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 5), "end": nn.Linear(5, 3), "s": torch.rand(5)}
    network = Forward(
        lambda self, x: self.end(together(self.a(x).relu(), self.b(x).relu(), self.s)), **parts
    )
    return trace(network, example_inputs=X).graph.to_scipy().toarray()


def in_pairs(h):
    return torch.stack([h, h, h, h]).view(2, 2, 2, 5)


def pooled(pool, *size):
    return lambda h, g, _: pool(torch.stack([h, g], -1), *size)[..., 0]


def once(h, *_):
    return h


def twice(h, *_):
    return h + h


def both(h, g, _):
    return h + g


def both_halved(h, g, _):
    return (h + g) / 2


def interpolated(stack):
    return functional.interpolate(stack, 3, mode="linear")


EACH = torch.zeros(2, dtype=torch.int64)

WAYS = {
    "stack": (twice, lambda h, *_: torch.stack([h, h]).sum(0)),
    "stack, last axis": (twice, lambda h, *_: torch.stack([h, h], -1).sum(-1)),
    "stack, kept axis": (twice, lambda h, *_: torch.stack([h, h], 1).sum(1, True).squeeze(1)),
    "concatenation": (twice, lambda h, *_: torch.cat([h[None], h[None]]).sum(0)),
    "concatenation, viewed": (twice, lambda h, *_: torch.cat([h, h], 1).view(2, 2, 5).sum(1)),
    "numbers left out": (twice, lambda h, *_: torch.stack([h, h]).nansum(0)),
    "mean": (twice, lambda h, *_: 2 * torch.stack([h, h]).mean(0)),
    "mean of one": (once, lambda h, *_: torch.stack([h, h]).mean(0)),
    "one beside zeros": (
        lambda h, *_: h / 2,
        lambda h, *_: torch.stack([h, torch.zeros(2, 5)]).mean(0),
    ),
    "list": (twice, lambda h, *_: sum([h, h])),
    "einsum": (twice, lambda h, *_: torch.einsum("kbi->bi", torch.stack([h, h]))),
    "einsum and turned": (
        twice,
        lambda h, *_: torch.einsum("kb...->...b", torch.stack([h, h])).T,
    ),
    "two axes": (lambda h, *_: 4 * h, lambda h, *_: in_pairs(h).sum((0, 1))),
    "axis by axis": (lambda h, *_: 4 * h, lambda h, *_: in_pairs(h).sum(0).sum(0)),
    "index_add": (
        twice,
        lambda h, *_: torch.zeros(1, 2, 5).index_add(0, EACH, torch.stack([h, h]))[0],
    ),
    "running sum": (twice, lambda h, g, _: torch.stack([h, h, g]).cumsum(0)[1]),
    "running sum of one": (once, lambda h, g, _: torch.stack([h, h, g]).cumsum(0)[0]),
    "running sum of two": (both, lambda h, g, _: torch.stack([h, g]).cumsum(0)[1]),
    "sum of two": (both, lambda h, g, _: torch.stack([h, g]).sum(0)),
    "mean of two": (lambda h, g, _: (h + g) / 2, lambda h, g, _: torch.stack([h, g]).mean(0)),
    "mean, viewed": (
        lambda h, g, _: (h + g) / 2,
        lambda h, g, _: torch.cat([h, g], 1).view(2, 2, 5).mean(1),
    ),
    "two to one": (
        lambda h, g, _: (2 * h + g) / 3,
        lambda h, g, _: torch.stack([h, g, h]).mean(0),
    ),
    "pooled": (lambda h, g, _: (h + g) / 2, pooled(functional.avg_pool1d, 2)),
    "pooled to one": (lambda h, g, _: (h + g) / 2, pooled(functional.adaptive_avg_pool1d, 1)),
    "pooled, a window": (
        lambda h, g, _: (h + g) / 2,
        lambda h, g, s: functional.avg_pool1d(torch.stack([h, g, s * h, s * h], -1), 2)[..., 0],
    ),
    "pooled, windows that overlap": (
        lambda h, g, _: (h + g) / 2,
        lambda h, g, s: functional.avg_pool1d(torch.stack([h, g, s * g], -1), 2, 1)[..., 0],
    ),
    "pooled, as rows": (
        lambda h, g, _: (h + g) / 2,
        lambda h, g, _: functional.avg_pool2d(torch.stack([h, g], 1)[:, None], (2, 1)).flatten(1),
    ),
    "largest in a window": (
        lambda h, *_: h,
        lambda h, g, _: functional.max_pool1d(torch.stack([h, h, g, g], -1), 2)[..., 0],
    ),
    "windows of unequal sizes": (
        both_halved,
        lambda h, g, s: functional.adaptive_avg_pool1d(torch.stack([h, g, s * g], -1), 2)[..., 0],
    ),
    "largest in unequal windows": (
        lambda h, g, _: torch.maximum(h, g),
        lambda h, g, s: functional.adaptive_max_pool1d(torch.stack([h, g, s * g], -1), 2)[..., 0],
    ),
    "windows summed": (
        both,
        lambda h, g, _: functional.avg_pool2d(
            torch.stack([h, g], -1)[:, None], (1, 2), divisor_override=1
        ).flatten(1),
    ),
    "interpolated": (
        both_halved,
        lambda h, g, _: functional.interpolate(
            torch.stack([h, g], -1), 3, mode="linear", align_corners=True
        )[..., 1],
    ),
    "interpolated, an end": (once, lambda h, g, _: interpolated(torch.stack([h, g], -1))[..., 0]),
    "interpolated, in two axes": (
        lambda h, g, _: 0.75 * h + 0.25 * g,
        lambda h, g, _: functional.interpolate(
            torch.stack([h, g], -1)[:, None], (5, 4), mode="bilinear"
        )[:, 0, :, 1],
    ),
    "interpolated by areas": (
        both_halved,
        lambda h, g, s: functional.interpolate(torch.stack([h, g, s * h], -1), 2, mode="area")[
            ..., 0
        ],
    ),
    "with factors": (
        lambda h, g, s: h + 3 * g + s * h,
        lambda h, g, s: torch.stack([h, 3 * g, s * h]).sum(0),
    ),
    "one in both places": (
        lambda h, g, _: h + 3 * g,
        lambda h, g, _: (torch.stack([h, g]) + g).sum(0),
    ),
    "taken twice": (
        lambda h, g, _: 2 * h + g,
        lambda h, g, _: torch.stack([h, g])[torch.tensor([0, 0, 1])].sum(0),
    ),
    "repeated": (
        lambda h, g, _: 2 * h + g,
        lambda h, g, _: torch.cat([h.expand(2, 2, 5), g[None]]).sum(0),
    ),
    "with their mean": (
        lambda h, g, _: (h + g) + 2 * ((h + g) / 2),
        lambda h, g, _: (torch.stack([h, g]) + torch.stack([h, g]).mean(0)).sum(0),
    ),
    "activation": (
        lambda h, *_: h + (-h).relu(),
        lambda h, *_: torch.stack([h, (-h).relu()]).sum(0),
    ),
    "largest": (lambda h, g, _: torch.maximum(h, g), lambda h, g, _: torch.stack([h, g]).amax(0)),
    "leaky": (
        lambda h, *_: torch.maximum(h, 0.1 * h),
        lambda h, *_: torch.stack([0.1 * h, h]).max(0).values,
    ),
    "leaky, pooled": (
        lambda h, *_: torch.maximum(h, 0.1 * h),
        lambda h, *_: functional.max_pool1d(torch.stack([0.1 * h, h], -1), 2)[..., 0],
    ),
    "and the value": (
        lambda h, *_: h + torch.maximum(h, 0.1 * h),
        lambda h, *_: h + torch.stack([0.1 * h, h]).amax(0),
    ),
    "product": (
        lambda h, g, _: 3 * h * (2 * g),
        lambda h, g, _: 3 * torch.stack([h, 2 * g]).prod(0),
    ),
    "logsumexp": (
        lambda h, g, _: torch.logaddexp(h, g),
        lambda h, g, _: torch.stack([h, g]).logsumexp(0),
    ),
    "neurons": (
        lambda h, *_: sum(h.split(1, 1)).expand(2, 5),
        lambda h, *_: torch.einsum("bi->b", h)[:, None].expand(2, 5),
    ),
    "same": (once, lambda h, *_: torch.einsum("bi->bi", h)),
    "turned": (once, lambda h, *_: torch.einsum("bi->ib", h).T),
    "turned by letters": (once, lambda h, *_: torch.einsum("ba", h).T),
    "without an ellipsis": (once, lambda h, *_: torch.einsum("...i->i...", h).T),
    "diagonal": (
        lambda h, g, _: torch.stack([h[:, 0], g[:, 1], h[:, 2], g[:, 3], h[:, 4]], 1),
        lambda h, g, _: torch.einsum("bii->bi", torch.stack([h, g, h, g, h], 1)),
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
def test_pixels_of_a_channel_are_one_neuron_still():
    """Whether they are averaged whole, in two halves, or with a border of zeros."""

    whole = strengths_of_maps(lambda h: h.mean((2, 3)))
    halves = strengths_of_maps(lambda h: torch.cat([h[..., 2:], h[..., :2]], -1).mean((2, 3)))
    np.testing.assert_allclose(halves, whole, rtol=1e-5)
    np.testing.assert_allclose(strengths_of_maps(lambda h: h.sum((2, 3))), whole, rtol=1e-5)
    padded = strengths_of_maps(lambda h: functional.pad(h, (1, 1)).mean((2, 3)))
    np.testing.assert_allclose(padded, whole, rtol=1e-5)
