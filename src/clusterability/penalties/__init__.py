"""Terms that training adds to the loss: functions of all parameters of a network at once.

Names are loaded when first used: a training without penalties need not wait for numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterability.penalties.clusters import GroupNorms, PartitionCut
    from clusterability.penalties.eigenvalues import Eigenvalues, MeanEigenvalue
    from clusterability.penalties.weights import L1, L2

_HOMES = {
    "L1": "weights",
    "L2": "weights",
    "Eigenvalues": "eigenvalues",
    "GroupNorms": "clusters",
    "MeanEigenvalue": "eigenvalues",
    "PartitionCut": "clusters",
}

__all__ = ["L1", "L2", "Eigenvalues", "GroupNorms", "MeanEigenvalue", "PartitionCut"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
