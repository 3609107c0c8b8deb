"""Small modules for the tests: a forward pass written as a function, with its parts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from clusterability.sources import trace

OLD_TORCH = find_spec("torch._functorch._aot_autograd.frontend_utils") is None
"""Whether torch refuses a network whose own attributes grow as it runs, as 2.8 does."""


class Forward(nn.Module):
    """``forward(*inputs)`` is ``function(self, *inputs)``; tensors among the parts are buffers."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self, *inputs, **named)


def linear(n_in: int, n_out: int, value: float = 1.0) -> nn.Linear:
    """Without a bias, all weights the same."""
    layer = nn.Linear(n_in, n_out, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def powers(n_in, n_out):
    """A layer without a bias, whose neuron ``i`` reads all inputs with the weight 10 ** i."""
    layer = nn.Linear(n_in, n_out, bias=False)
    with torch.no_grad():
        layer.weight.copy_(10.0 ** torch.arange(n_out)[:, None].expand(n_out, n_in))
    return layer


def conv(n_in: int, n_out: int, value: float = 1.0, **how: Any) -> nn.Conv2d:
    """1 x 1 without a bias, all weights the same."""
    layer = nn.Conv2d(n_in, n_out, 1, bias=False, **how)
    nn.init.constant_(layer.weight, value)
    return layer


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic drawn anew, variances positive."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(drawn)
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                drawn = torch.rand(buffer.shape, generator=generator, dtype=torch.float64)
                buffer.copy_(drawn + 0.5 if name.endswith("running_var") else drawn - 0.5)
    return model


def strengths_of_maps(step: Callable[..., Any]) -> Any:
    """Return the adjacency matrix of a convolution, a step on its maps, and a linear layer."""
    torch.manual_seed(0)
    network = Forward(
        lambda self, x: self.end(step(self.start(x))),
        start=nn.Conv2d(2, 4, 1),
        end=nn.Linear(4, 3),
    )
    found = trace(network, example_inputs=torch.rand(1, 2, 4, 6), include=("input", "dense"))
    return found.graph.to_scipy().toarray()
