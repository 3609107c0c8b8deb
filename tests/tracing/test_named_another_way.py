"""Operations with two spellings give the graph of the usual one, strengths and all."""

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from small_modules import Forward

X = torch.rand(2, 6)
PLACES = torch.tensor([1, 2, 4, 5, 6])


def adjacency(function):
    torch.manual_seed(0)
    sizes = {"a": (6, 5), "b": (5, 3), "c": (6, 5), "wide": (7, 3)}
    parts = {name: nn.Linear(*size) for name, size in sizes.items()}
    network = Forward(function, **parts, s=torch.rand(5))
    return trace(network, example_inputs=X).graph.to_scipy().toarray()


def twice(product):
    return lambda self, x: product(product(x, self.a.weight).relu(), self.b.weight)


def padded(self, x):
    h = self.a(x)
    zero = torch.zeros(2, 1)
    return self.wide(torch.cat([zero, h[:, :2], zero, h[:, 2:]], 1))


def assigned(self, x):
    z = torch.zeros(2, 7)
    z[:, PLACES] = self.a(x)
    return self.wide(z)


def marked(self, x):
    z = torch.zeros(2, 7).scatter(1, PLACES.expand(2, 5), self.a(x))
    return self.wide(z.scatter(1, torch.tensor([[0, 3]] * 2), 5.0))


PLAIN = lambda self, x: self.b(self.a(x).relu())  # noqa: E731


@pytest.mark.parametrize(
    ("other", "usual"),
    [
        (twice(torch.inner), PLAIN),
        (twice(lambda x, w: torch.inner(w, x).T), PLAIN),
        (twice(lambda x, w: torch.tensordot(x, w, ([1], [1]))), PLAIN),
        (twice(lambda x, w: torch.tensordot(w.T, x, ([-2], [-1])).T), PLAIN),
        (twice(lambda x, w: torch.einsum("bi,oi->bo", x, w)), PLAIN),
        (twice(lambda x, w: torch.einsum("o i, ... i", w, x)), PLAIN),
        (twice(lambda x, w: torch.einsum("io,...i->...o", w.T, x)), PLAIN),
        (
            lambda self, x: self.b(torch.addcmul(self.c(x), self.a(x), self.s, value=0.5)),
            lambda self, x: self.b(self.c(x) + 0.5 * self.a(x) * self.s),
        ),
        (
            lambda self, x: self.b(torch.addcmul(self.c(x), self.s, self.s)),
            lambda self, x: self.b(self.c(x)),
        ),
        (
            lambda self, x: self.b(torch.addcdiv(self.s, self.a(x), self.s, value=3)),
            lambda self, x: self.b(3 * self.a(x) / self.s),
        ),
        (
            lambda self, x: self.b(torch.lerp(self.a(x), self.c(x), 0.3)),
            lambda self, x: self.b(0.7 * self.a(x) + 0.3 * self.c(x)),
        ),
        (assigned, padded),
        (marked, padded),
        (
            lambda self, x: self.wide(torch.zeros(2, 7).index_copy(1, PLACES, self.a(x))),
            padded,
        ),
        (lambda self, x: self.b(self.a(x).absolute()), PLAIN),
    ],
)
def test_two_spellings_are_one_network(other, usual):
    np.testing.assert_allclose(adjacency(other), adjacency(usual), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda self, x: torch.einsum("bi,bj->ij", self.a(x), self.c(x)), "attention"),
        (lambda self, x: torch.einsum("bi,i->b", self.a(x), self.s), "write it as torch.nn.Lin"),
        (lambda self, x: torch.einsum("bi,oj->bo", self.a(x), self.b.weight), "write it as"),
        (lambda self, x: torch.tensordot(self.a(x), torch.ones(2, 5, 3), 2), "sums over 2 axes"),
        (lambda self, x: torch.inner(self.a(x), self.s), "expected 2 axes"),
        (
            lambda self, x: torch.index_put(
                self.a(x), (torch.tensor([0, 1]),), self.c(x), accumulate=True
            ),
            "adds to what it overwrites",
        ),
        (lambda self, x: torch.lerp(self.a(x), self.c(x), self.s), "weight is no number"),
    ],
)
def test_other_forms_are_refused(function, message):
    with pytest.raises(InputError, match=message):
        adjacency(function)
