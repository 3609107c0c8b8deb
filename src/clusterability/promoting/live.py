"""The graph of a module that is being trained: traced once, its parameters read at each call."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from clusterability.compiling import can_compile
from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.promoting.parameters import plain_chain
from clusterability.reading.loaded import InputShape
from clusterability.shown import described, quoted
from clusterability.tracing.examples import inputs_to_trace
from clusterability.tracing.modules import trace_module, unwrapped
from clusterability.wiring import Wiring
from clusterability.wiring.kernels import find_kernel_norm


class LiveGraph:
    """The graph of a module as its weights are at each call.

    Args:
        model: the module.
        example_inputs, input_shape, include, kernel_norm: as of ``measure``.

    Raises:
        InputError: if the module cannot be traced, or its weights cannot be used.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Any,
        input_shape: InputShape | None,
        include: Collection[str],
        kernel_norm: str,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {described(model)}, expected a torch.nn.Module")
        self._norm = find_kernel_norm(kernel_norm)
        self._model = unwrapped(model)
        inputs = inputs_to_trace(self._model, example_inputs, input_shape)
        traced = trace_module(self._model, inputs, include)
        self._wiring, self._parameters = traced.wiring, _Unchanged(traced.parameters)
        self._wiring.check(self._parameters)
        self._parameters.remember(self._wiring.parameter_names)

    @property
    def wiring(self) -> Wiring:
        """Which parameter joins which layers."""
        return self._wiring

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The parameters as they act, by name."""
        return self._parameters

    def trained(self) -> dict[str, Tensor]:
        """Return the parameters that are not frozen, by name."""
        named = self._model.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    @property
    def device_type(self) -> str:
        """Kind of the device of the module."""
        return next(self._model.parameters()).device.type

    def graph(self) -> NeuronGraph:
        """Return the graph, differentiable in the parameters.

        Raises:
            InputError: if a parameter is missing, or has another shape than when it was traced.
        """
        return self._wiring.strengths(self._parameters, self._norm)

    @cached_property
    def _chain_names(self) -> list[str] | None:
        return plain_chain(self._wiring)

    def chain(self) -> dict[str, nn.Parameter] | None:
        """Return the kernels of a plain chain of linear layers by name, in order.

        Returns None for all other modules, and where a kernel is no parameter itself or lies such
        that compiled loops cannot read it.
        """
        if self._chain_names is None:
            return None
        named = dict(self._model.named_parameters())
        if not named.keys() >= set(self._chain_names):
            return None
        kernels = {name: named[name] for name in self._chain_names}
        acting = (self._parameters[name] for name in self._chain_names)
        is_own = all(
            a.data_ptr() == k.data_ptr() for a, k in zip(acting, kernels.values(), strict=True)
        )
        plain = [kernel.detach() for kernel in kernels.values()]
        same = len({(kernel.ndim, kernel.dtype) for kernel in plain}) == 1 and plain[0].ndim == 2
        return kernels if is_own and same and can_compile(*plain) else None

    def check(self) -> None:
        """Refuse weights that are NaN or infinite.

        Raises:
            InputError: that names the parameter.
        """
        self._wiring.check(self._parameters)
        self._wiring.check_strengths(self.graph())


class _Unchanged(Mapping[str, Tensor]):
    """Parameters that must be there with the shapes that they had before."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._shapes: dict[str, tuple[int, ...]] = {}

    def remember(self, names: Sequence[str]) -> None:
        """Take the shapes that parameters have now for those that they must have."""
        self._shapes = {name: tuple(self._parameters[name].shape) for name in names}

    def __getitem__(self, name: str) -> Tensor:
        try:
            found = self._parameters[name]
        except KeyError:
            if name not in self._shapes:
                raise
            raise InputError(
                f"the model has lost its parameter {quoted(name)} since it was traced; make a new "
                "penalty for the changed model"
            ) from None
        expected = self._shapes.get(name)
        if expected is not None and tuple(found.shape) != expected:
            raise InputError(
                f"{quoted(name)} has shape {tuple(found.shape)}, but had {expected} when the model "
                "was traced; make a new penalty for the changed model"
            )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)
