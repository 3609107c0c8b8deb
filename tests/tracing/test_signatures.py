"""What a forward pass takes where a decorator stands before it."""

import functools

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from clusterability.tracing.signatures import signature_of


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x, scale):
        return self.b(self.a(x).relu()) * scale


def supplying(function):
    @functools.wraps(function)
    def forward(self, x):
        return function(self, x, 2.0)

    return forward


def supplying_to_any(function):
    @functools.wraps(function)
    def forward(self, *given, **named):
        return function(self, *given, scale=2.0, **named)

    return forward


def supplying_what_is_left_out(function):
    @functools.wraps(function)
    def forward(self, x, scale=2.0):
        return function(self, x, scale)

    return forward


def without_gradients(function):
    return torch.no_grad()(function)


SUPPLYING = [
    supplying,
    supplying_to_any,
    supplying_what_is_left_out,
    lambda function: without_gradients(supplying_to_any(function)),
    lambda function: supplying_to_any(without_gradients(function)),
    lambda function: functools.partialmethod(function, scale=2.0),
]


def decorated(decorator):
    return type("Decorated", (Scaled,), {"forward": decorator(Scaled.forward)})()


@pytest.mark.slow
@pytest.mark.parametrize("decorator", SUPPLYING)
def test_what_a_decorator_supplies_is_not_asked_for(decorator):
    assert trace(decorated(decorator)).graph.layer_sizes == [6, 5, 3]
    assert trace(decorated(decorator), input_shape=(6,)).graph.layer_sizes == [6, 5, 3]


@pytest.mark.parametrize("decorator", [lambda function: function, without_gradients])
def test_what_no_decorator_supplies_is_asked_for(decorator):
    model = decorated(decorator)
    message = r"^Decorated: the forward pass takes 2 inputs \('x', 'scale'\), "
    with pytest.raises(InputError, match=message + "whose shapes"):
        trace(model)
    with pytest.raises(InputError, match=message + "but input_shape gives 1 shape"):
        trace(model, input_shape=(6,))
    assert trace(model, input_shape=((6,), (1,))).graph.layer_sizes == [6, 5, 3]


def test_what_the_decorator_takes_counts():
    def taking_more(function):
        @functools.wraps(function)
        def forward(self, x, y):
            return function(self, x, 2.0) + y

        return forward

    assert signature_of(decorated(taking_more)).names == ("x", "y")
    assert signature_of(decorated(without_gradients)).names == ("x", "scale")
    assert signature_of(decorated(lambda _: lambda *_given: None)) is None
