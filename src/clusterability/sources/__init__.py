"""The one door: from anything that a user hands in to its graph."""

from clusterability.sources.network import Traced, neuron_graph, trace

__all__ = ["Traced", "neuron_graph", "trace"]
