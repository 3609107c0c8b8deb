"""Products with constants along copies and stacks give the graph of the sums that they are."""

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph, trace
from small_modules import Forward, linear

X = torch.rand(2, 6)
ROWS = torch.tensor([[0.25, 0.75], [1.0, 2.0]])
ONE, TWO = ROWS[:1], ROWS[0]
THREE = torch.tensor([1.0, 2.0, 3.0])
EYE = torch.eye(5)


@cache
def adjacency(step):
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 5), "end": nn.Linear(5, 3)}
    network = Forward(
        lambda self, x: self.end(step(self.a(x).relu(), self.b(x).relu(), self.w)),
        **parts,
        w=nn.Parameter(ROWS.clone()),
    )
    return trace(network.requires_grad_(False), example_inputs=X).graph.to_scipy().toarray()


def pair(*values):
    """Neurons of both: which is which must be told."""
    return torch.stack(values, -1).flatten(1)[:, 4:9]


def once(h, *_):
    return h


def twice(h, *_):
    return 2 * h


def both(h, g, _):
    return h + g


def weighted(h, g, _):
    return 0.25 * h + 0.75 * g


def two_sums(h, g, _):
    return pair(0.25 * h + 0.75 * g, h + 2 * g)


def three(h, *_):
    return pair(h, 2 * h, 3 * h)


def stacked(h, g):
    return torch.stack([h, g], 1)


SUMS = {
    "ones": (both, lambda h, g, _: (torch.ones(1, 2) @ stacked(h, g))[:, 0]),
    "ones, of copies": (twice, lambda h, *_: (torch.ones(1, 2) @ h[:, None].expand(2, 2, 5))[:, 0]),
    "ones, einsum": (both, lambda h, g, _: torch.einsum("k,bki->bi", torch.ones(2), stacked(h, g))),
    "a mean": (
        lambda h, g, _: (h + g) / 2,
        lambda h, g, _: torch.full((2,), 0.5) @ stacked(h, g),
    ),
    "a vector": (weighted, lambda h, g, _: stacked(h, g).mT @ TWO),
    "a vector, inner": (weighted, lambda h, g, _: torch.inner(stacked(h, g).mT, TWO)),
    "a vector, tensordot": (weighted, lambda h, g, _: torch.tensordot(TWO, torch.stack([h, g]), 1)),
    "a parameter": (weighted, lambda h, g, w: torch.einsum("k,bki->bi", w[0], stacked(h, g))),
    "a row": (weighted, lambda h, g, _: (ONE @ stacked(h, g))[:, 0]),
    "a row, of copies": (
        once,
        lambda h, *_: (ONE @ h[:, None].expand(2, 2, 5))[:, 0],
    ),
    "a row, bmm": (weighted, lambda h, g, _: torch.bmm(ONE.expand(2, 1, 2), stacked(h, g))[:, 0]),
    "a product and a sum": (weighted, lambda h, g, _: (TWO[:, None] * stacked(h, g)).sum(1)),
    "rows": (two_sums, lambda h, g, _: pair(*(ROWS @ stacked(h, g)).unbind(1))),
    "rows, linear": (two_sums, lambda h, g, _: pair(*F.linear(stacked(h, g).mT, ROWS).unbind(2))),
    "rows, einsum": (
        two_sums,
        lambda h, g, _: pair(*torch.einsum("bki,jk->jbi", stacked(h, g), ROWS)),
    ),
    "rows, a product and a sum": (
        two_sums,
        lambda h, g, _: pair(*(stacked(h, g)[:, None] * ROWS[:, :, None]).sum(2).unbind(1)),
    ),
    "rows, last": (
        two_sums,
        lambda h, g, _: (stacked(h, g).mT[:, :, None] * ROWS).sum(3).flatten(1)[:, 4:9],
    ),
    "running": (both, lambda h, g, _: (torch.ones(2, 2).tril() @ stacked(h, g))[:, 1]),
}

PICKS = {
    "a diagonal": (once, lambda h, *_: (h[:, :, None] * EYE).diagonal(0, 1, 2)),
    "a diagonal by letters": (once, lambda h, *_: torch.einsum("bii->bi", h[:, :, None] * EYE)),
    "a quotient's diagonal": (
        once,
        lambda h, *_: (h[:, :, None] / (2 - EYE)).diagonal(0, 1, 2),
    ),
    "a diagonal where": (
        once,
        lambda h, *_: torch.where(EYE > 0, h[:, :, None], 0.0).diagonal(0, 1, 2),
    ),
    "a diagonal filled": (
        once,
        lambda h, *_: h[:, :, None].expand(2, 5, 5).masked_fill(EYE < 1, 0.0).diagonal(0, 1, 2),
    ),
    "a diagonal, normalized": (
        lambda h, *_: F.normalize(h),
        lambda h, *_: F.normalize((h[:, :, None] * EYE).diagonal(0, 1, 2)),
    ),
    "all copies": (three, lambda h, *_: (h[:, :, None] * THREE).flatten(1)[:, 4:9]),
    "a Kronecker product": (
        lambda h, *_: pair(h, 2 * h),
        lambda h, *_: torch.kron(h, torch.tensor([1.0, 2.0]))[:, 4:9],
    ),
    "one copy": (twice, lambda h, *_: (h[:, :, None] * THREE)[:, :, 1]),
    "one copy, activated": (twice, lambda h, *_: (h[:, :, None] * THREE).relu()[:, :, 1]),
    "one copy, twice multiplied": (
        lambda h, *_: 4 * h,
        lambda h, *_: (h[:, :, None] * THREE * THREE)[..., 1],
    ),
    "one copy beside a stack": (
        lambda h, g, _: 2 * h + g,
        lambda h, g, _: (h[:, None] * THREE[:2, None] + stacked(h, g))[:, 1],
    ),
    "some copies": (
        lambda h, *_: sum((h, 2 * h)),
        lambda h, *_: (h[:, :, None] * THREE)[..., :2].sum(-1),
    ),
    "some copies one by one": (
        lambda h, *_: sum((h, 2 * h)),
        lambda h, *_: sum((h[None] * THREE[:, None, None]).unbind(0)[:2]),
    ),
    "turned": (
        lambda h, *_: 6 * h,
        lambda h, *_: (h[:, :, None] * THREE).transpose(1, 2).sum(1),
    ),
    "copies beside zeros": (
        lambda h, *_: h / 2,
        lambda h, *_: F.pad(h[:, :, None].expand(2, 5, 2), (1, 1)).mean(2),
    ),
    "copies beside zeros, pooled": (
        lambda h, *_: 0.5 * h,
        lambda h, *_: F.avg_pool1d(F.pad(h[:, :, None].expand(2, 5, 2), (0, 2)), 4)[:, :, 0],
    ),
    "copies beside zeros, in one of two windows": (
        once,
        lambda h, *_: F.avg_pool1d(F.pad(h[:, :, None].expand(2, 5, 2), (0, 2)), 2)[:, :, 0],
    ),
    "copies beside zeros, pooled to one": (
        lambda h, *_: 0.25 * h,
        lambda h, *_: F.adaptive_avg_pool2d(F.pad(h[:, :, None, None], (0, 1, 1, 0)), 1).flatten(1),
    ),
    "copies, the second of two statistics": (
        once,
        lambda h, *_: torch.var_mean(h[:, :, None].expand(2, 5, 3), 2)[1],
    ),
    "divided": (
        lambda h, *_: h + h / 2 + h / 3,
        lambda h, *_: (h[:, :, None] / THREE).sum(-1),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUMS | PICKS)
def test_the_same_graph_as_by_numbers(name):
    named, way = (SUMS | PICKS)[name]
    hidden = torch.rand(2, 2, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(way(*hidden, ROWS), named(*hidden, ROWS))
    np.testing.assert_allclose(adjacency(way), adjacency(named), rtol=1e-5, err_msg=name)


def test_single_neurons_beside_each_other_are_a_layer():
    parts = {"a": linear(6, 1), "b": linear(6, 1), "end": linear(2, 3)}
    model = Forward(lambda self, x: self.end(torch.cat([self.a(x), self.b(x)], 1)), **parts)
    assert neuron_graph(model, example_inputs=X).layer_sizes == [6, 6, 1, 1, 3]


TRAINED = {
    "linear": lambda h, g, w: F.linear(stacked(h, g).mT, w).mT,
    "matmul": lambda h, g, w: w @ stacked(h, g),
    "einsum": lambda h, g, w: torch.einsum("bki,jk->bji", stacked(h, g), w),
    "a product and a sum": lambda h, g, w: (stacked(h, g)[:, None] * w[:, :, None]).sum(2),
}


def graph_of_trained(way):
    torch.manual_seed(0)
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 5), "end": nn.Linear(10, 3)}
    network = Forward(
        lambda self, x: self.end(way(self.a(x), self.b(x), self.w).relu().flatten(1)),
        **parts,
        w=nn.Parameter(ROWS.clone()),
    )
    return neuron_graph(network, example_inputs=X, include=("input", "dense"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_matrix_is_a_layer_of_few_neurons(name):
    """Each of its outputs is one neuron wherever it is applied, as a convolution's channel is."""
    found = graph_of_trained(TRAINED[name])
    expected = graph_of_trained(lambda h, g, w: F.conv1d(stacked(h, g), w[..., None]))
    assert found.layer_sizes == expected.layer_sizes == [6, 6, 1, 1, 2, 3]
    torch.testing.assert_close(found.flat_strengths(), expected.flat_strengths())


def test_a_matrix_with_many_rows_is_refused():
    with pytest.raises(InputError, match=r"^aten.matmul .* it makes 65 sums of values that are st"):
        adjacency(lambda h, g, _: (torch.ones(65, 2) @ stacked(h, g))[:, 0])
