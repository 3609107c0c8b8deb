"""L1 and L2 penalties of the kernels as in Keras: without a factor 1/2, and not averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class L1:
    """The weighted sum of absolute kernel weights: ``sum_l c_l sum_ij |w_lij|``.

    Args:
        weights: c_l by the name of the kernel; kernels without one are not penalized.

    >>> penalty = L1({"fc1.weight": 0.5})
    >>> kernels = {"fc1.weight": torch.tensor([[[1.0, -3.0, 0.0]]])}
    >>> penalty.value(kernels)
    tensor([2.])
    >>> gradients = {"fc1.weight": torch.zeros(1, 1, 3)}
    >>> penalty.add_gradient(kernels, gradients)
    >>> gradients["fc1.weight"]
    tensor([[[ 0.5000, -0.5000,  0.0000]]])
    """

    weights: Mapping[str, float]
    is_recordable: ClassVar[bool] = True

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,), of kernels (n_runs, ...)."""
        terms = [c * parameters[name].flatten(1).abs().sum(1) for name, c in self.weights.items()]
        return torch.stack(terms).sum(0) if terms else torch.zeros(1)

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place; that of ``|w|`` at 0 is 0."""
        for name, c in self.weights.items():
            gradients[name].add_(parameters[name].sign(), alpha=c)


@dataclass(frozen=True)
class L2:
    """The weighted sum of squared kernel weights: ``sum_l c_l sum_ij w_lij^2``.

    Args:
        weights: c_l by the name of the kernel; kernels without one are not penalized.

    >>> penalty = L2({"fc1.weight": 0.5})
    >>> kernels = {"fc1.weight": torch.tensor([[[1.0, -3.0, 0.0]]])}
    >>> penalty.value(kernels)
    tensor([5.])
    >>> gradients = {"fc1.weight": torch.zeros(1, 1, 3)}
    >>> penalty.add_gradient(kernels, gradients)
    >>> gradients["fc1.weight"]
    tensor([[[ 1., -3.,  0.]]])
    """

    weights: Mapping[str, float]
    is_recordable: ClassVar[bool] = True

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,), of kernels (n_runs, ...)."""
        terms = [
            c * parameters[name].flatten(1).square().sum(1) for name, c in self.weights.items()
        ]
        return torch.stack(terms).sum(0) if terms else torch.zeros(1)

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place."""
        for name, c in self.weights.items():
            gradients[name].add_(parameters[name], alpha=2 * c)
