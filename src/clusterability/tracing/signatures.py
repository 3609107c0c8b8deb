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
        names: of its arguments, those without a default first, in their order.
        n_required: number of those without a default.
        by_name: those that are taken by name only.
    """

    names: tuple[str, ...]
    n_required: int
    by_name: frozenset[str] = frozenset()

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
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return None
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
