"""The registry of rules: how neurons pass through each operation."""

from clusterability.tracing.operations import (
    addition,
    bounds,
    contractions,
    elementwise,
    movement,
    normalizing,
    pooling,
    refused,
    weighing,
)
from clusterability.tracing.operations.registry import (
    RULES,
    Call,
    Constant,
    Findings,
    WeightOperation,
    find_rule,
    rule,
)

__all__ = [
    "RULES",
    "Call",
    "Constant",
    "Findings",
    "WeightOperation",
    "addition",
    "bounds",
    "contractions",
    "elementwise",
    "find_rule",
    "movement",
    "normalizing",
    "pooling",
    "refused",
    "rule",
    "weighing",
]
