"""Penalties of any PyTorch module, for the loss of anyone's loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.penalties import Eigenvalues, MeanEigenvalue
from clusterability.promoting.live import LiveGraph
from clusterability.shown import described, listed
from clusterability.spectral.following import Start


class EigenvaluePenalty:
    """The mean of chosen eigenvalues of the normalized Laplacian of a module's graph.

    Each call returns it for the weights of the moment, differentiable in the parameters that are
    not frozen, those behind masks and parametrizations included. The module is traced once. It is
    computed in float32 under autocast and for half precision, and in double for double; gradients
    have the precision of their parameters. Without grad mode a call returns the value alone, and
    does not count.

    Source: section 4.1 of Filan et al. (2021). Differs in that the gradient is whole and in closed
    form, from eigenvectors that are followed from call to call.

    Args:
        model: any module whose forward pass does not branch on its data.
        eigenvalues: indices, ascending; the first eigenvalue is always zero and no choice.
        example_inputs: as of :func:`clusterability.measure`.
        input_shape: as of :func:`clusterability.measure`.
        include: as of :func:`clusterability.measure`.
        kernel_norm: as of :func:`clusterability.measure`.
        every: the value and gradient are computed at every so many calls, and kept for the others.

    Raises:
        InputError: if the module cannot be traced, has NaN or infinite weights or too few neurons;
            at a call also if the module has changed since.

    >>> from clusterability import toy
    >>> penalty = EigenvaluePenalty(toy.ResidualMLP(), eigenvalues=[2])
    >>> penalty()
    tensor(0.1818, grad_fn=<_MeanBackward>)
    """

    def __init__(
        self,
        model: nn.Module,
        eigenvalues: Collection[int] = range(2, 5),
        *,
        example_inputs: Any = None,
        input_shape: Sequence[int] | None = None,
        include: Collection[str] = (),
        kernel_norm: str = "l1",
        every: int = 1,
    ) -> None:
        self.every = whole("every", every, 1)
        self._mean = MeanEigenvalue(eigenvalues)
        self._live = LiveGraph(model, example_inputs, input_shape, include, kernel_norm)
        self._n_calls = 0
        self._kept: _KeptGradient | None = None
        self._chain: Eigenvalues | None = None
        with torch.no_grad():
            self._value()

    @property
    def eigenvalues(self) -> tuple[int, ...]:
        """Indices of the eigenvalues."""
        return self._mean.eigenvalues

    def __call__(self) -> Tensor:
        """Return the mean, a scalar on the model's device."""
        if not torch.is_grad_enabled():
            return self._value()
        trained = self._live.trained()
        if self.every == 1:
            self._n_calls += 1
            kept = self._compute_chain(trained)
            return self._value() if kept is None else _joined(kept, trained)
        kept = self._kept
        if kept is None or self._n_calls % self.every == 0 or not kept.fits(trained):
            kept = self._compute_chain(trained) or self._compute(trained)
        self._n_calls += 1
        self._kept = kept
        return _joined(kept, trained)

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from call to call, for a checkpoint; the model has its own."""
        start = self._mean.follower.start
        return {
            "n_calls": self._n_calls,
            "start": None if start is None else start._asdict(),
            "value": None if self._kept is None else self._kept.value,
            "gradients": {} if self._kept is None else dict(self._kept.gradients),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned.

        Raises:
            InputError: if it is no such state.
        """
        expected = self.state_dict()
        if not isinstance(state, Mapping) or set(state) != set(expected) or not _is_state(state):
            raise InputError(
                f"the penalty's state is {described(state)}, expected the entries "
                f"{listed(list(expected))} of its state_dict()"
            )
        self._n_calls = whole("n_calls", state["n_calls"], 0)
        start = state["start"]
        self._mean.follower.start = None if start is None else Start(**start)
        self._kept = None
        if state["value"] is not None:
            trained = self._live.trained()
            here = {
                n: g.to(trained[n].device) for n, g in state["gradients"].items() if n in trained
            }
            self._kept = _KeptGradient(state["value"].to(self._live.device_type), here)

    def _value(self) -> Tensor:
        """Return the mean, differentiable in the parameters where grad mode is on."""
        with torch.autocast(self._live.device_type, enabled=False):
            value = self._mean(self._live.graph())
        self._check_finite(value)
        return value

    def _check_finite(self, value: Tensor) -> None:
        if not bool(value.isfinite()):
            self._live.check()
            raise InputError("the strengths are so large that eigenvalues overflow; scale them")

    def _compute_chain(self, trained: Mapping[str, Tensor]) -> _KeptGradient | None:
        """Return value and gradient by the loops of the package's training; None if not a chain."""
        kernels = self._live.chain()
        if kernels is None:
            return None
        if self._chain is None:
            self._chain = Eigenvalues(list(kernels), 1.0, self.eigenvalues)
            self._chain.mean = self._mean
        with torch.no_grad():
            stacked = [kernel.detach()[None] for kernel in kernels.values()]
            into = [torch.zeros_like(kernel) for kernel in stacked]
            value = self._chain.add_slope(stacked, into)[0]
        self._check_finite(value)
        gradients = zip(kernels, into, strict=True)
        return _KeptGradient(value, {name: g[0] for name, g in gradients if name in trained})

    def _compute(self, trained: Mapping[str, Tensor]) -> _KeptGradient:
        value = self._value()
        if not value.requires_grad:
            return _KeptGradient(value, {})
        found = torch.autograd.grad(value, tuple(trained.values()), allow_unused=True)
        gradients = zip(trained, found, strict=True)
        return _KeptGradient(value.detach(), {n: g for n, g in gradients if g is not None})


def _is_state(state: Mapping[str, Any]) -> bool:
    """Whether the entries of a state are of the kinds that they should be."""
    start, value, gradients = state["start"], state["value"], state["gradients"]
    has_start = start is None or (
        isinstance(start, Mapping)
        and set(start) == set(Start._fields)
        and start["half"] in (0, 1)
        and all(_is_finite(start[name]) for name in ("rows", "values"))
        and start["rows"].shape[:-1] == start["values"].shape
    )
    return (
        has_start
        and (value is None or (_is_finite(value) and value.ndim == 0))
        and isinstance(gradients, Mapping)
        and all(isinstance(gradient, Tensor) for gradient in gradients.values())
    )


def _is_finite(value: Any) -> bool:
    return isinstance(value, Tensor) and bool(value.isfinite().all())


class _KeptGradient(NamedTuple):
    """The mean, and its gradient by the names of the parameters on which it depends."""

    value: Tensor
    gradients: Mapping[str, Tensor]

    def fits(self, parameters: Mapping[str, Tensor]) -> bool:
        """Whether each gradient is of such a parameter."""
        return all(
            name in parameters and _kind(parameters[name]) == _kind(gradient)
            for name, gradient in self.gradients.items()
        )


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return tensor.shape, tensor.dtype, tensor.device


def _joined(kept: _KeptGradient, trained: Mapping[str, Tensor]) -> Tensor:
    """Return the value as a function of the parameters on which it depends."""
    reached = [trained[name] for name in kept.gradients]
    value: Tensor = _Kept.apply(kept.value, tuple(kept.gradients.values()), *reached)  # type: ignore[no-untyped-call]
    return value


class _Kept(torch.autograd.Function):
    """A value whose gradient with respect to the parameters is known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (weight.to(gradient.dtype) * gradient for gradient in ctx.gradients)
        return None, None, *scaled
