"""How clusterable a neural network is, and whether that is more than chance.

Names are loaded when first used, so that ``clusterability --help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterability.cut import normalized_cut
    from clusterability.errors import ClusterabilityError, InputError, RunError
    from clusterability.graph import Block, Layer, NeuronGraph
    from clusterability.measuring import measure
    from clusterability.result import Clusterability
    from clusterability.tracing import neuron_graph

__version__ = "0.1.0"

_HOMES = {
    "Block": "graph",
    "Clusterability": "result",
    "ClusterabilityError": "errors",
    "InputError": "errors",
    "Layer": "graph",
    "NeuronGraph": "graph",
    "RunError": "errors",
    "measure": "measuring",
    "neuron_graph": "tracing",
    "normalized_cut": "cut",
}

__all__ = [
    "Block",
    "Clusterability",
    "ClusterabilityError",
    "InputError",
    "Layer",
    "NeuronGraph",
    "RunError",
    "__version__",
    "measure",
    "neuron_graph",
    "normalized_cut",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
