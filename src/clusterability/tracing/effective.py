"""Effective parameters: those that act where pruning or a normalization computes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import methodcaller
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def effective_parameter(module: nn.Module, name: str) -> Any:
    """Return the parameter or buffer as it acts in evaluation; None if the module has none.

    The module is left untouched: its attribute of that name would be stale where a hook refreshes
    it in the forward pass, and reading a parametrized one in training may change its buffers.
    """
    for hook in module._forward_pre_hooks.values():
        if _made_parameter(hook) != name:
            continue
        if isinstance(hook, BasePruningMethod):
            return methodcaller("apply_mask", module)(hook)  # torch gives it no types
        if isinstance(hook, WeightNorm):
            return hook.compute_weight(module)
        assert isinstance(hook, SpectralNorm)
        return hook.compute_weight(module, do_power_iteration=False)
    if is_parametrized(module, name):
        parametrization: nn.Module = getattr(module.parametrizations, name)
        with _evaluating(parametrization):
            # Not by the attribute, which parametrize.cached() would keep for the forward pass.
            return parametrization()
    return getattr(module, name)


def has_unread_hooks(module: nn.Module) -> bool:
    """Whether there are forward hooks other than those that compute the weight or the bias."""
    made = [_made_parameter(hook) for hook in module._forward_pre_hooks.values()]
    return bool(module._forward_hooks) or any(name not in ("weight", "bias") for name in made)


def hook_made_parameters(module: nn.Module) -> list[str]:
    """Return the names of the parameters that hooks compute before each forward pass."""
    made = (_made_parameter(hook) for hook in module._forward_pre_hooks.values())
    return list(dict.fromkeys(name for name in made if name is not None))


def _made_parameter(hook: object) -> str | None:
    """Return the name of the parameter that the hook computes; None for other hooks."""
    if isinstance(hook, BasePruningMethod):
        return hook._tensor_name
    if isinstance(hook, WeightNorm | SpectralNorm):
        return hook.name
    return None


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, and restore each module's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, training in modes:
            part.training = training
