"""What normalize_ and balance_ refuse, since it lies between a hidden neuron and what reads it."""

import copy

import pytest
import torch
from torch import nn

from clusterability import balance_, normalize_
from clusterability.errors import InputError


class Gated(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.a, self.b, self.between = nn.Linear(4, 4), nn.Linear(4, 2), between

    def forward(self, x):
        return self.b(self.between(self.a(x), x))


BETWEEN = {
    "gelu": (lambda h, _: nn.functional.gelu(h), "aten.gelu .*not positively homogeneous"),
    "tanh": (lambda h, _: torch.tanh(h), "aten.tanh"),
    "clamp": (lambda h, _: h.clamp(0, 6), "aten.clamp"),
    "layer norm": (lambda h, _: nn.functional.layer_norm(h, (4,)), "aten.layer_norm"),
    "square": (lambda h, _: h * h, "aten.mul"),
    "inverse": (lambda h, _: 1 / (h + 0), "aten"),
    "constant": (lambda h, _: h + 1, "aten.add .*adds a constant"),
    "input": (lambda h, x: h + x, "aten.add .*adds the network's input"),
    "mean": (lambda h, _: h - h.mean(1, keepdim=True), "aten.sub .*adds one number to many"),
    "sum": (lambda h, _: h + h.sum(1)[:, None].expand(-1, 4), "aten.add .*one number to many"),
    "softmax": (lambda h, _: h.softmax(1), "aten.softmax"),
    "integers": (lambda h, _: h.int().float(), "aten"),
    "padding": (lambda h, _: nn.functional.pad(h, (0, 0), value=1.0), "aten.pad"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", [normalize_, balance_])
@pytest.mark.parametrize("name", BETWEEN)
def test_what_would_change_the_function_is_refused(name, change):
    between, message = BETWEEN[name]
    model = Gated(between)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=message) as error:
        change(model)
    assert "\n" not in str(error.value)
    assert all(torch.equal(w, before[key]) for key, w in model.state_dict().items())


def test_a_batch_norm_without_a_weight_is_refused():
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 3))
    with pytest.raises(InputError, match=r"layer '0' .*affine=False"):
        balance_(model)
