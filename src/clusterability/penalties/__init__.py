"""Terms that training adds to the loss: functions of all parameters of a network at once."""

from clusterability.penalties.clusters import GroupNorms, PartitionCut
from clusterability.penalties.eigenvalues import Eigenvalues, MeanEigenvalue
from clusterability.penalties.weights import L1, L2

__all__ = ["L1", "L2", "Eigenvalues", "GroupNorms", "MeanEigenvalue", "PartitionCut"]
