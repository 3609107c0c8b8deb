"""All kinds of networks that a user may give, and their graphs."""

from clusterability.sources.network import Traced, neuron_graph, trace

__all__ = ["Traced", "neuron_graph", "trace"]
