"""From a network (module, state dict or file) to its graph of neurons."""

from clusterability.tracing.network import Traced, neuron_graph, trace
from clusterability.tracing.wiring import Wiring

__all__ = ["Traced", "Wiring", "neuron_graph", "trace"]
