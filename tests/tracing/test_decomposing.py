"""Operations that torch composes of others, and those that change shapes in place."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from small_modules import Forward

X = torch.rand(2, 6)


def adjacency(step):
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 5), "end": nn.Linear(5, 3)}
    network = Forward(lambda self, x: self.end(step(self.a(x), self.b(x))), **parts)
    return trace(network, example_inputs=X).graph.to_scipy().toarray()


def folded(h, g):
    """Two windows of three, of which the last of the first and the first of the second meet."""
    windows = torch.stack([h[:, :3], g[:, 2:]], 2)
    return F.fold(windows, (1, 5), (1, 3), stride=(1, 2)).flatten(1)


def swapped(h, _):
    return torch.take_along_dim(h, torch.tensor([[1, 0, 2, 3, 4]]), 1)


COMPOSED = {
    "flipped": (lambda h, _: h.fliplr(), lambda h, _: h.flip(1)),
    "taken along an axis": (swapped, lambda h, _: h[:, [1, 0, 2, 3, 4]]),
    "a diagonal": (lambda h, _: torch.linalg.diagonal(h.diag_embed()), lambda h, _: h),
    "a column of a diagonal": (
        lambda h, _: h.diag_embed().sum(1) + 0 * h,
        lambda h, _: h + 0 * h,
    ),
    "folded": (
        folded,
        lambda h, g: torch.cat([h[:, :2], h[:, 2:3] + g[:, 2:3], g[:, 3:]], 1),
    ),
    "over a norm": (
        lambda h, _: h / torch.linalg.norm(h, dim=1, keepdim=True),
        lambda h, _: F.normalize(h),
    ),
    "added at places": (
        lambda h, g: h.put(torch.arange(10), g, accumulate=True),
        lambda h, g: h + g,
    ),
    "shapes changed in place": (
        lambda h, _: h.clone().unsqueeze_(0).squeeze_(0).t_().t(),
        lambda h, _: h,
    ),
    "differences": (
        lambda h, g: torch.diff(torch.stack([h, g], 1), dim=1)[:, 0],
        lambda h, g: h - g,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPOSED)
def test_the_same_graph_as_of_what_they_are_composed_of(name):
    composed, usual = COMPOSED[name]
    np.testing.assert_allclose(adjacency(composed), adjacency(usual), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda h, _: h.as_strided((2, 5), (5, 1)), "^aten.as_strided .* places in memory"),
        (lambda h, _: h.view(torch.int32).view(h.dtype), "^aten.view .* bits of its input"),
        (lambda h, g: h.masked_scatter(g > 0, g), "^aten.masked_scatter .* torch.where"),
        (lambda h, _: torch.special.bessel_j0(h), "^aten.special_bessel_j0 .*extending.md$"),
        # It is composed as a sum of which half of the ends is taken away again.
        (lambda h, _: torch.trapezoid(h[..., None].expand(2, 5, 3)), "^aten.trapezoid"),
    ],
)
def test_others_are_refused(step, message):
    with pytest.raises(InputError, match=message):
        adjacency(step)
