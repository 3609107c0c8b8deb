"""Products with stacks of constant matrices give the graph of the linear layers that they are."""

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from small_modules import Forward

X = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))


def adjacency(function, x=X):
    """Of a network that makes two hidden layers of 5, and what the function makes of them."""
    torch.manual_seed(0)
    network = Forward(
        lambda self, x: self.end(function(self.a(x).relu(), self.b(x).relu(), self)),
        a=nn.Linear(6, 5),
        b=nn.Linear(6, 5),
        one=torch.rand(1, 5, 3),
        two=torch.rand(2, 5, 3),
        end=nn.LazyLinear(4),
    )
    network(x)
    return trace(network, example_inputs=x).graph.to_scipy().toarray()


def same_graph(function, named, x=X):
    """Equal but for the order of the layers, in which all of a layer's neurons go together."""
    found, expected = adjacency(function, x), adjacency(named, x)
    assert found.shape == expected.shape
    for power in (1, 2, 3):  # of walks of each length from each neuron, sorted
        counts = [np.sort(np.linalg.matrix_power(a, power).sum(1)) for a in (found, expected)]
        np.testing.assert_allclose(*counts, rtol=1e-5)


def one_matrix(h, _, s):
    return h @ s.one[0]


ONE = {
    "bmm": lambda h, _, s: torch.bmm(h[:, None], s.one.expand(len(h), 5, 3))[:, 0],
    "bmm, matrix first": lambda h, _, s: torch.bmm(s.one.mT.expand(len(h), 3, 5), h[..., None])[
        ..., 0
    ],
    "baddbmm": lambda h, _, s: torch.baddbmm(
        torch.zeros(len(h), 1, 3), h[:, None], s.one.expand(len(h), 5, 3)
    )[:, 0],
    "matmul": lambda h, _, s: torch.matmul(h, s.one)[0],
    "matmul of rows": lambda h, _, s: torch.matmul(h[:, None], s.one)[:, 0],
    "matmul, matrix first": lambda h, _, s: torch.matmul(s.one.mT, h[..., None])[..., 0],
    "einsum": lambda h, _, s: torch.einsum("bi,kio->bo", h, s.one),
    "einsum of a batch": lambda h, _, s: torch.einsum("bi,bio->bo", h, s.one.expand(len(h), 5, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", ONE)
def test_one_matrix_for_all_examples(name, n):
    same_graph(ONE[name], one_matrix, X[:n])


def each_its_own(h, g, s):
    return torch.cat([h @ s.two[0], g @ s.two[1]], 1)


def flat(found):
    return found.transpose(0, 1).flatten(1)


TWO = {
    "bmm": lambda h, g, s: flat(torch.bmm(torch.stack([h, g]), s.two)),
    "matmul": lambda h, g, s: flat(torch.matmul(torch.stack([h, g]), s.two)),
    "matmul, matrix first": lambda h, g, s: (
        torch.matmul(s.two.mT, torch.stack([h, g]).mT).permute(2, 0, 1).flatten(1)
    ),
    "einsum": lambda h, g, s: torch.einsum("kbi,kio->bko", torch.stack([h, g]), s.two).flatten(1),
    "batch first": lambda h, g, s: torch.matmul(torch.stack([h, g], 1)[:, :, None], s.two).flatten(
        1
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", TWO)
def test_each_of_two_layers_has_its_matrix(name, n):
    same_graph(TWO[name], each_its_own, X[:n])


def test_a_layer_that_is_stacked_with_itself_is_read_twice():
    same_graph(
        lambda h, _, s: flat(torch.bmm(torch.stack([h, h]), s.two)),
        lambda h, _, s: each_its_own(h, h, s),
    )


def one_wide_layer(h, _, s):
    return h @ torch.cat([s.two[0], s.two[1]], 1)


WIDE = {
    "matmul": lambda h, _, s: flat(torch.matmul(h, s.two)),
    "bmm": lambda h, _, s: flat(torch.bmm(h.expand(2, *h.shape), s.two)),
    "matmul of rows": lambda h, _, s: torch.matmul(h[:, None, None], s.two).flatten(1),
    "einsum": lambda h, _, s: torch.einsum("bi,kio->bko", h, s.two).flatten(1),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", WIDE)
def test_one_layer_with_several_matrices_is_a_wide_one(name, n):
    same_graph(WIDE[name], one_wide_layer, X[:n])


@pytest.mark.parametrize("product", [torch.bmm, torch.matmul])
def test_both_from_the_input_are_attention(product):
    with pytest.raises(InputError, match=r"multiplies two tensors that both depend on the input"):
        adjacency(lambda h, g, _: product(h[:, None], g[..., None])[:, 0])
