"""Terms that training adds to the loss: functions of all parameters of a network at once."""

from clusterability.penalties.weights import L1, L2

__all__ = ["L1", "L2"]
