"""Adam with the constants of the paper's Keras."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

EPSILON = 1e-7
"""Keras's default. Keras adds it before the bias correction of the second moment and torch after;
the difference is below 1e-7 of the square root of that moment, and gone after some steps."""


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Return torch's Adam with betas 0.9 and 0.999, in one pass over the parameters."""
    held = list(parameters)
    on_gpu = any(parameter.is_cuda for parameter in held)
    return torch.optim.Adam(held, lr=learning_rate, eps=EPSILON, fused=True, capturable=on_gpu)


class Adam:
    """Adam on one flat tensor.

    Differs from :class:`torch.optim.Adam` with ``fused=True``, whose numbers it reproduces, in that

    1. it calls torch's fused kernel directly, without the optimizer's bookkeeping of parameter
       groups, hooks and state by parameter, which takes longer than the kernel on a small network;
    2. parameter and gradient are passed to :meth:`step`, so that neither belongs to autograd.

    Args:
        learning_rate: the step size.
    """

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.state: dict[str, Tensor] = {}

    def step(self, parameter: Tensor, gradient: Tensor) -> None:
        """Change the parameter in place."""
        if not self.state:
            self.state = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.state["step"] += 1
        moments = ([self.state["exp_avg"]], [self.state["exp_avg_sq"]])
        torch._fused_adam_(
            *([parameter], [gradient], *moments, [], [self.state["step"]]),
            lr=self.learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
