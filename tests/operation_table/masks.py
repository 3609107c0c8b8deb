"""Constant masks in every form, each beside the factors by which it multiplies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from operation_table.elementwise import along_channels
from operation_table.entry import Operation
from step_modules import Register

Function = Callable[[Tensor, Tensor], Tensor]


def complement(mask: Tensor) -> Tensor:
    return ~mask


def with_where(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, torch.zeros_like(x))


def written_into(make: Callable[[Tensor], Tensor], number: float) -> Function:
    """Return a product with a mask that is made in the value's form, then written into."""

    def product(x: Tensor, mask: Tensor) -> Tensor:
        made = make(x)
        made.masked_fill_(mask, number)
        return x * made

    return product


MASKS: dict[str, tuple[Function, Callable[[Tensor], Tensor]]] = {
    "masked_fill": (lambda x, m: x.masked_fill(~m, 0.0), lambda m: 1.0 * m),
    "masked_fill in place": (lambda x, m: x.clone().masked_fill_(m, 0.0), complement),
    "masked_fill with a tensor": (
        lambda x, m: x.masked_fill(m, torch.tensor(0.0, dtype=x.dtype)),
        complement,
    ),
    "where": (lambda x, m: torch.where(m, x, 0.0), lambda m: m),
    "where zeros": (with_where, lambda m: m),
    "where not": (lambda x, m: torch.where(m, 0.0, x), complement),
    "where either": (lambda x, m: torch.where(m, 2 * x, 0.5 * x), lambda m: 0.5 + 1.5 * m),
    "product": (lambda x, m: x * m, lambda m: m),
    "masked_fill expanded": (lambda x, m: x.masked_fill(m.expand_as(x), 0.0), complement),
    "where expanded": (lambda x, m: torch.where(m.expand_as(x), x, 0.0), lambda m: m),
    "product expanded": (lambda x, m: m.expand_as(x) * x, lambda m: m),
    "product of the value's type": (lambda x, m: x * m.type_as(x), lambda m: m),
    "product in the value's view": (
        lambda x, m: x * (m & torch.ones(x.shape, dtype=torch.bool)).flatten().view_as(x),
        lambda m: m,
    ),
    "zeros in the value's form": (written_into(torch.zeros_like, 1.0), lambda m: m),
    "ones in the value's form": (written_into(torch.ones_like, 0.0), complement),
    "a number in the value's form": (
        written_into(lambda x: torch.full_like(x, 3.0), 0.5),
        lambda m: 3 - 2.5 * m,
    ),
    "zeros in a gate of ones": (
        lambda x, m: x * torch.ones_like(x).masked_fill(~m, 0.0),
        lambda m: m,
    ),
    "value without a part": (lambda x, m: x - x * ~m, lambda m: m),
    "value without a part by numbers": (lambda x, m: x - (1 - m.to(x.dtype)) * x, lambda m: m),
    "part minus value": (lambda x, m: x * m - x, complement),
    "value plus a negative part": (lambda x, m: x + x * (m.to(x.dtype) - 1), lambda m: m),
    "value plus a part": (lambda x, m: x.sub(x * m, alpha=-1), lambda m: 1.0 + m),
    "addcmul": (lambda x, m: torch.addcmul(x, x, m.to(x.dtype), value=-1), complement),
    "new zeros": (written_into(lambda x: x.new_zeros(x.shape), 1.0), lambda m: m),
}


def alternating(stream: Tensor) -> Tensor:
    """True for every other channel or feature, the first one included."""
    return torch.arange(stream.shape[1]) % 2 == 0


def masked(function: Function) -> Operation:
    def apply(stream: Tensor) -> Tensor:
        return function(stream, along_channels(alternating(stream), stream))

    def weakly(stream: Tensor) -> Tensor:
        return apply(stream) + 0.01 * stream

    # A gate of 0 would hide what it gates.
    return Operation(apply, weakly, hidden, adds_constants=True, masks=True)


def hidden(register: Register) -> bool:
    return register.per_neuron and register.image == "none"


CONSTANT_MASKS = {f"mask by {name}": masked(function) for name, (function, _) in MASKS.items()}
