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
ROWS = torch.tensor([[0], [1]])
SECOND = ([1, 2], [1, 2])


def adjacency(function):
    torch.manual_seed(0)
    sizes = {"a": (6, 5), "b": (5, 3), "c": (6, 5), "wide": (7, 3), "d": (6, 4), "e": (5, 4)}
    parts = {name: nn.Linear(*size) for name, size in sizes.items()}
    network = Forward(function, **parts, s=torch.rand(5))
    return trace(network, example_inputs=X).graph.to_scipy().toarray()


def pairs(self, x):
    return torch.cat([self.a(x), x[:, :1]], 1).view(2, 3, 2)


def of_two_axes(equation, order=()):
    """A layer that reads pairs, or what they are flattened to."""

    def function(self, x):
        weight = self.d.weight.view(4, 3, 2) if "j" in equation else self.d.weight
        value = pairs(self, x) if "j" in equation else pairs(self, x).flatten(1)
        operands = (weight, value) if order else (value, weight)
        found = torch.einsum(equation, *operands)
        return found.T if order else found

    return function


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


INDEX = torch.tensor([[0, 2, 2, 4, 2]] * 2)
"""Where each neuron is added: three of them at one place."""


def gathered(self, x):
    kept, h = self.c(x), self.a(x)
    zero = torch.zeros(2, 1)
    first, middle, last = h[:, :1], h[:, 1:2] + h[:, 2:3] + h[:, 4:], h[:, 3:4]
    return self.b(kept + torch.cat([first, zero, middle, zero, last], 1))


def running_sum(self, x):
    h = self.a(x).relu()
    return self.b(torch.cat([h[:, : i + 1].sum(1, keepdim=True) for i in range(5)], 1))


PLAIN = lambda self, x: self.b(self.a(x).relu())  # noqa: E731


@pytest.mark.slow
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
        (lambda self, x: self.b(self.c(x).index_add(1, INDEX[0], self.a(x))), gathered),
        (lambda self, x: self.b(self.c(x).scatter_add(1, INDEX, self.a(x))), gathered),
        (lambda self, x: self.b(self.c(x).scatter_reduce(1, INDEX, self.a(x), "sum")), gathered),
        (
            lambda self, x: self.b(self.c(x).index_put((ROWS, INDEX), self.a(x), accumulate=True)),
            gathered,
        ),
        (
            lambda self, x: self.b(self.c(x).index_add(1, INDEX[0], self.a(x), alpha=-2)),
            lambda self, x: self.b(self.c(x).index_add(1, INDEX[0], 2 * self.a(x))),
        ),
        (lambda self, x: self.b(self.a(x).relu().cumsum(1)), running_sum),
        (
            lambda self, x: self.b(torch.lerp(self.a(x), self.c(x), self.s)),
            lambda self, x: self.b((1 - self.s) * self.a(x) + self.s * self.c(x)),
        ),
        (
            lambda self, x: self.b(torch.lerp(self.a(x), self.c(x), self.c(x).sigmoid())),
            lambda self, x: self.b(self.a(x) * (1 - (g := self.c(x).sigmoid())) + g * self.c(x)),
        ),
        (
            lambda self, x: torch.einsum("bi,i->b", self.a(x), self.s),
            lambda self, x: self.a(x) @ self.s[:, None],
        ),
        (
            lambda self, x: torch.inner(self.a(x), self.s),
            lambda self, x: self.a(x) @ self.s[:, None],
        ),
        (
            lambda self, x: self.a(x) @ self.s,
            lambda self, x: self.a(x) @ self.s[:, None],
        ),
        (
            lambda self, x: self.b(torch.einsum("bi,i->bi", self.a(x), self.s)),
            lambda self, x: self.b(self.a(x) * self.s),
        ),
        (of_two_axes("bij,oij->bo"), of_two_axes("bk,ok->bo")),
        (of_two_axes("oij,bij->ob", (1, 0)), of_two_axes("bk,ok->bo")),
        (
            lambda self, x: torch.tensordot(pairs(self, x), self.d.weight.view(4, 3, 2), SECOND),
            of_two_axes("bk,ok->bo"),
        ),
        (
            lambda self, x: torch.einsum("bi,hdi->bdh", self.a(x), self.e.weight.view(2, 2, 5)),
            lambda self, x: self.e(self.a(x)).view(2, 2, 2).mT,
        ),
    ],
)
def test_two_spellings_are_one_network(other, usual):
    np.testing.assert_allclose(adjacency(other), adjacency(usual), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda self, x: torch.einsum("bi,bj->ij", self.a(x), self.c(x)), "attention"),
        (lambda self, x: torch.einsum("bi,oj->bo", self.a(x), self.b.weight), "write it as"),
        (
            lambda self, x: torch.einsum("bi,ik->bik", self.a(x), self.b.weight.T),
            "a matrix of its own",
        ),
        (
            lambda self, x: self.b(self.a(x).scatter_reduce(1, INDEX, self.a(x), "amax")),
            "more than sums",
        ),
        (
            lambda self, x: self.b(
                self.a(x).index_add(1, torch.zeros(120).long(), x.repeat(1, 20))
            ),
            "adds",
        ),
    ],
)
def test_other_forms_are_refused(function, message):
    with pytest.raises(InputError, match=message):
        adjacency(function)
