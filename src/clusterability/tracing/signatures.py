"""What a forward pass takes, by its signature."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from torch import nn

from clusterability.shown import listed, quoted


@dataclass(frozen=True)
class Takes:
    """The inputs of a forward pass.

    Attributes:
        names: of its arguments, those without a default first.
        n_required: number of those without a default.
        has_keywords: whether some of these are taken by name only.
    """

    names: tuple[str, ...]
    n_required: int
    has_keywords: bool

    def __str__(self) -> str:
        required, others = self.names[: self.n_required], self.names[self.n_required :]
        inputs = f"{len(required)} input" + "s" * (len(required) != 1)
        text = f"the forward pass takes {inputs}"
        if required:
            text += f" ({listed([quoted(name) for name in required])})"
        return text + (f" and {len(others)} more that may be left out" if others else "")


def signature_of(module: nn.Module) -> Takes | None:
    """Return what a module's forward pass takes; None if its signature does not tell.

    >>> str(signature_of(nn.Bilinear(2, 3, 4)))
    "the forward pass takes 2 inputs ('input1', 'input2')"
    """
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    by_name = inspect.Parameter.KEYWORD_ONLY
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    others = [p for p in parameters if p.default is not p.empty and p.kind is not by_name]
    return Takes(
        tuple(p.name for p in (*required, *others)),
        len(required),
        any(p.kind is by_name for p in required),
    )
