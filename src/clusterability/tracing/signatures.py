"""What a forward pass takes, by its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import wraps
from typing import Any

from torch import nn
from torch.utils._pytree import SUPPORTED_NODES

from clusterability.shown import listed, quoted


@dataclass(frozen=True)
class Takes:
    """The inputs of a forward pass.

    Attributes:
        names: of its arguments, those without a default first, in their order.
        n_required: number of those without a default.
        by_name: those that are taken by name only.
        is_certain: whether fewer than ``n_required`` are too few. Where a decorator takes any
            arguments, these are those of the function inside, of which it may supply some.
    """

    names: tuple[str, ...]
    n_required: int
    by_name: frozenset[str] = frozenset()
    is_certain: bool = True

    def __str__(self) -> str:
        required, others = self.names[: self.n_required], self.names[self.n_required :]
        inputs = f"{len(required)} input" + "s" * (len(required) != 1)
        text = f"the forward pass takes {inputs}"
        if required:
            text += f" ({listed([quoted(name) for name in required])})"
        return text + (f" and {len(others)} more that may be left out" if others else "")


def signature_of(module: nn.Module) -> Takes | None:
    """Return what a module's forward pass takes; None if its signature does not tell.

    What a decorator takes itself counts, not what the function inside does.

    >>> str(signature_of(nn.Bilinear(2, 3, 4)))
    "the forward pass takes 2 inputs ('input1', 'input2')"
    """
    forward = module.forward
    found = _told(forward)
    if found is not None:
        return found
    is_bound = inspect.ismethod(forward)
    inner = getattr(forward, "__wrapped__", None)
    while found is None and inner is not None:
        found = _told(inner, skipped=int(is_bound and not inspect.ismethod(inner)))
        inner = getattr(inner, "__wrapped__", None)
    return None if found is None else replace(found, is_certain=False)


def _told(function: Callable[..., object], skipped: int = 0) -> Takes | None:
    """Return what a function takes after its first ``skipped`` arguments, if it says so itself."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())[skipped:]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    taken = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(taken) < len(parameters) and not taken:
        return None
    ordered = sorted(taken, key=lambda p: (p.default is not p.empty, p.kind is p.KEYWORD_ONLY))
    return Takes(
        tuple(p.name for p in ordered),
        sum(p.default is p.empty for p in taken),
        frozenset(p.name for p in taken if p.kind is p.KEYWORD_ONLY),
    )


def take_own_arguments(module: nn.Module, positional: tuple[Any, ...], named: Any) -> None:
    """Let a module's forward pass be called by its decorator's signature where that inside differs.

    Args:
        module: a copy, which is changed.
        positional: arguments of the forward pass, which torch holds against the signature inside.
        named: those by name.
    """
    forward = module.forward
    try:
        inspect.signature(forward).bind(*positional, **named)
    except (TypeError, ValueError):

        def own(*given: Any, **others: Any) -> Any:
            return forward(*given, **others)

        vars(own)["__signature__"] = inspect.signature(forward, follow_wrapped=False)
        vars(module)["forward"] = own


def return_mappings(module: nn.Module) -> None:
    """Let a module's forward pass return mappings in place of dataclasses that torch does not know.

    Args:
        module: a copy, which is changed.
    """
    forward = module.forward

    @wraps(forward)
    def with_mappings(*given: Any, **others: Any) -> Any:
        return _with_mappings(forward(*given, **others))

    vars(module)["forward"] = with_mappings


def _with_mappings(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type) and type(value) not in SUPPORTED_NODES:
        return {field.name: _with_mappings(getattr(value, field.name)) for field in fields(value)}
    if type(value) is dict:
        return {key: _with_mappings(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_mappings, value))
    return value
