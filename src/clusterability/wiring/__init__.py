"""Which parameter joins which layer to which, without weights; with them, a graph."""

from clusterability.wiring.wiring import Wiring

__all__ = ["Wiring"]
