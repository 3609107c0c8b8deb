"""Watching a training: the clusterability of its model every so many steps."""

from clusterability.watching.monitor import ClusterabilityMonitor

__all__ = ["ClusterabilityMonitor"]
