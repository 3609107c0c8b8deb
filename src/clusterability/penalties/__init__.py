"""Terms that training adds to the loss: functions of all parameters of a network at once.

Names are loaded when first used: a training without penalties need not wait for numba.
"""

from typing import TYPE_CHECKING

from clusterability.lazy import loaded_when_used

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


__getattr__ = loaded_when_used(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
