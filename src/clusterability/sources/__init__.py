"""All kinds of networks that a user may give, and their graphs."""

from clusterability.sources.kinds import Traced
from clusterability.sources.network import neuron_graph, trace

__all__ = ["Traced", "neuron_graph", "trace"]
