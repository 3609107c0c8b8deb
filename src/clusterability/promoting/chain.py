"""Algorithm 2 of the paper on the kernels of a chain of linear layers, in one pass over each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.graph import increment_version

from clusterability.compiling import can_compile

TARGET = math.sqrt(2)
"""Norm of the weights into a neuron that He initialization gives."""


class Chain:
    """The kernels and biases of MLPs, one or several of one shape, with ReLUs between.

    Differs from the naive loop over tensors in that a compiled function goes over each row while it
    lies in the cache, on a CPU and in memory that is contiguous.

    Args:
        kernels: (n_runs, out, in) each, from inputs to outputs; kept, and changed in place.
        biases: (n_runs, out) each, None for a layer without.

    >>> first, second = torch.tensor([[[3.0, 0.0], [0.0, 8.0]]]), torch.ones(1, 1, 2)
    >>> Chain([first, second], [torch.tensor([[4.0, 6.0]]), None]).normalize_(target=1.0)
    >>> second
    tensor([[[ 5., 10.]]])
    """

    def __init__(self, kernels: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
        self.kernels = [kernel.detach() for kernel in kernels]
        self.biases = [None if bias is None else bias.detach() for bias in biases]
        self._before = [self.kernels[0].new_ones(self.kernels[0][:, 0].shape)]
        self._before += [kernel.new_ones(kernel.shape[:2]) for kernel in self.kernels[:-1]]
        self._views = None
        if can_compile(*self.kernels, *self.biases):
            self._views = [self._views_of(i) for i in range(len(self.kernels) - 1)]

    def _views_of(self, i: int) -> tuple[NDArray[Any], ...]:
        """Return what the compiled loop reads and changes, of one kernel."""
        before, after, bias = self._before[i], self._before[i + 1], self.biases[i]
        held = after if bias is None else bias
        return tuple(tensor.numpy() for tensor in (self.kernels[i], held, before, after))

    @torch.no_grad()
    def normalize_(
        self, target: float = TARGET, *, with_bias: bool = True, thresholds: Tensor | None = None
    ) -> None:
        """Give the weights into each hidden neuron one norm, in place; the function stays.

        A neuron without weights and bias is left as it is.

        Args:
            target: the norm.
            with_bias: whether the bias counts in it; it is scaled in any case.
            thresholds: (n_runs, n_kernels). With these, weights count in the norm by the threshold
                times their size, and what a neuron of norm 0 gives becomes 0, as by mistake in the
                published runs while they were pruned.
        """
        ones = torch.ones(len(self.kernels[0]), len(self.kernels), device=self.kernels[0].device)
        squares = (ones if thresholds is None else thresholds).to(self.kernels[0]).square()
        is_slip = thresholds is not None
        if self._views is not None:
            # A training that normalizes no weights need not wait for numba.
            from clusterability.promoting.chain_loop import normalize_rows
        for i, (kernel, bias) in enumerate(zip(self.kernels[:-1], self.biases[:-1], strict=True)):
            if self._views is not None:
                weights, *others = self._views[i]
                factors, size = squares.numpy()[:, i], weights.dtype.type(target)
                flags = (bias is not None, with_bias, is_slip)
                normalize_rows(weights, *others, factors, size, *flags)
            else:
                before, after = self._before[i : i + 2]
                _normalize(
                    kernel, bias if with_bias else None, before, after, squares[:, i], target
                )
                if bias is not None and not with_bias:
                    bias.div_(after.masked_fill(after == 0, 1))
                if not is_slip:
                    after.masked_fill_(after == 0, 1)
        self.kernels[-1].mul_(self._before[-1][:, None])
        if self._views is not None:  # autograd has not seen what changed in memory
            increment_version([t for t in (*self.kernels, *self.biases) if t is not None])


def _normalize(
    kernel: Tensor,
    bias: Tensor | None,
    before: Tensor,
    after: Tensor,
    squares: Tensor,
    target: float,
) -> None:
    """Multiply the columns by ``before``, and divide each row by its size, unless that is 0.

    Args:
        kernel: (n_runs, out, in).
        bias: (n_runs, out), which counts in the norm; or None.
        before: (n_runs, in).
        after: (n_runs, out), becomes the size, norm / target.
        squares: (n_runs,), factor of the squared weights in the squared norm.
        target: norm of size 1.
    """
    kernel.mul_(before[:, None])
    total = squares[:, None] * kernel.square().sum(-1)
    if bias is not None:
        total += bias.square()
    after.copy_(total.sqrt_().div_(target))
    divisors = after.masked_fill(after == 0, 1)
    kernel.div_(divisors[..., None])
    if bias is not None:
        bias.div_(divisors)
