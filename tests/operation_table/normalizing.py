"""Normalizations; in the perturbation only their own factors count, not those of the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from operation_table.elementwise import along_channels
from operation_table.entry import (
    Operation,
    OperationModule,
    channels,
    hidden_features,
    per_neuron,
)

aten = torch.ops.aten


class RunningNorm(nn.Module):
    """A batch norm by one of the operations that PyTorch has for it."""

    def __init__(self, name: str, n_channels: int) -> None:
        super().__init__()
        self.name = name
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))

    def forward(self, stream: Tensor) -> Tensor:
        given = stream, self.weight, self.bias, self.running_mean, self.running_var
        if self.name == "batch_norm":
            return functional.batch_norm(stream, *given[3:], *given[1:3])
        if self.name == "native_batch_norm":
            return torch.native_batch_norm(*given, False, 0.1, 1e-5)[0]
        return aten._native_batch_norm_legit_no_training(*given, 0.1, 1e-5)[0]


def running_norm(name: str) -> OperationModule:
    return OperationModule(lambda r: RunningNorm(name, r.shape[0]), per_neuron, weighs=False)


def over_features(function: object) -> Operation:
    """Of features, each with a scale of its own."""
    return Operation(function, lambda x, gamma: x * gamma, hidden_features, one_scale)


def one_scale(register: object) -> list[tuple[int, ...]]:
    return [(register.shape[0],)]


def over_channels(function: object) -> Operation:
    return Operation(function, lambda x, gamma: x * along_channels(gamma, x), channels, one_scale)


def native_group_norm(stream: Tensor, gamma: Tensor) -> Tensor:
    n, c = stream.shape[:2]
    pixels = stream.shape[2:].numel()
    return torch.native_group_norm(stream, gamma, None, n, c, pixels, 1, 1e-5)[0]


NORMALIZING = {
    **{
        name: running_norm(name)
        for name in (
            "batch_norm",
            "native_batch_norm",
            "_native_batch_norm_legit_no_training",
        )
    },
    "layer_norm": over_features(lambda x, g: functional.layer_norm(x, g.shape, g)),
    "native_layer_norm": over_features(
        lambda x, g: torch.native_layer_norm(x, g.shape, g, None, 1e-5)[0]
    ),
    "rms_norm": over_features(lambda x, g: functional.rms_norm(x, g.shape, g)),
    "group_norm": over_channels(lambda x, g: functional.group_norm(x, 1, g)),
    "native_group_norm": over_channels(native_group_norm),
    "instance_norm": over_channels(lambda x, g: functional.instance_norm(x, weight=g)),
}
