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
from clusterability.reading.loaded import InputShape
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
        every: value and gradient are computed at every so many calls. The gradient is then so many
            times as large, and 0 at the other calls, which keep the value ("lazy regularization",
            Karras et al., 2020).

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
        input_shape: InputShape | None = None,
        include: Collection[str] = (),
        kernel_norm: str = "l1",
        every: int = 1,
    ) -> None:
        self.every = whole("every", every, 1)
        self._mean = MeanEigenvalue(eigenvalues)
        self._live = LiveGraph(model, example_inputs, input_shape, include, kernel_norm)
        self._n_calls = 0
        self._kept: Tensor | None = None
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
        is_computed = self._kept is None or self._n_calls % self.every == 0
        self._n_calls += 1
        if not is_computed:
            return _constant(self._kept, trained)
        found = self._compute_chain(trained)
        value = self._value() if found is None else _joined(found, trained)
        self._kept = value.detach()
        return value if self.every == 1 else _steeper(value, self.every)

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from call to call, for a checkpoint; the model has its own."""
        start = self._mean.follower.start
        return {
            "n_calls": self._n_calls,
            "start": None if start is None else start._asdict(),
            "value": self._kept,
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
        value = state["value"]
        self._kept = None if value is None else value.to(self._live.device_type)

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


def _is_state(state: Mapping[str, Any]) -> bool:
    """Whether the entries of a state are of the kinds that they should be."""
    start, value = state["start"], state["value"]
    has_start = start is None or (
        isinstance(start, Mapping)
        and set(start) == set(Start._fields)
        and start["half"] in (0, 1)
        and all(_is_finite(start[name]) for name in ("rows", "values"))
        and start["rows"].shape[:-1] == start["values"].shape
    )
    return has_start and (value is None or (_is_finite(value) and value.ndim == 0))


def _is_finite(value: Any) -> bool:
    return isinstance(value, Tensor) and bool(value.isfinite().all())


class _KeptGradient(NamedTuple):
    """The mean, and its gradient by the names of the parameters on which it depends."""

    value: Tensor
    gradients: Mapping[str, Tensor]


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


def _steeper(value: Tensor, times: int) -> Tensor:
    """Return the same value, with a gradient so many times as large."""
    same = value.detach()
    return same + times * (value - same)  # the difference is exactly 0


def _constant(value: Tensor | None, trained: Mapping[str, Tensor]) -> Tensor:
    """Return a value with a gradient of 0, for which it needs a parameter: the smallest."""
    assert value is not None
    smallest = sorted(trained.values(), key=Tensor.numel)[:1]
    zeros = tuple(torch.zeros_like(parameter) for parameter in smallest)
    found: Tensor = _Kept.apply(value, zeros, *smallest)  # type: ignore[no-untyped-call]
    return found
