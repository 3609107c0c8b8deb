"""How clusterable a neural network is, and whether that is more than chance.

Names are loaded when first used, so that ``clusterability --help`` does not wait for torch.
"""

from typing import TYPE_CHECKING

from clusterability._version import __version__
from clusterability.lazy import loaded_when_used

if TYPE_CHECKING:
    from clusterability import toy
    from clusterability.clustering import normalized_cut
    from clusterability.errors import ClusterabilityError, InputError, RunError
    from clusterability.graph import Block, Layer, NeuronGraph
    from clusterability.measuring import measure
    from clusterability.promoting import (
        CrossClusterLoss,
        EigenvaluePenalty,
        GroupLasso,
        ModularPruning,
        PartitionPenalty,
        balance_,
        cluster_tags,
        clusterable_init_,
        normalize_,
        validate_clusters,
    )
    from clusterability.report.figures import (
        plot_adjacency,
        plot_eigenvalues,
        plot_network,
        plot_null,
    )
    from clusterability.report.scan import ClusterScan
    from clusterability.report.series import plot_series
    from clusterability.result import Clusterability
    from clusterability.scanning import scan_clusters
    from clusterability.settings import Settings
    from clusterability.sources import neuron_graph
    from clusterability.watching import ClusterabilityMonitor


_HOMES = {
    "Block": "graph",
    "ClusterScan": "report.scan",
    "Clusterability": "result",
    "ClusterabilityError": "errors",
    "ClusterabilityMonitor": "watching",
    "CrossClusterLoss": "promoting",
    "EigenvaluePenalty": "promoting",
    "GroupLasso": "promoting",
    "InputError": "errors",
    "Layer": "graph",
    "ModularPruning": "promoting",
    "NeuronGraph": "graph",
    "PartitionPenalty": "promoting",
    "RunError": "errors",
    "Settings": "settings",
    "balance_": "promoting",
    "cluster_tags": "promoting",
    "clusterable_init_": "promoting",
    "measure": "measuring",
    "neuron_graph": "sources",
    "normalize_": "promoting",
    "normalized_cut": "clustering",
    "plot_adjacency": "report.figures",
    "plot_eigenvalues": "report.figures",
    "plot_network": "report.figures",
    "plot_null": "report.figures",
    "plot_series": "report.series",
    "scan_clusters": "scanning",
    "toy": None,
    "validate_clusters": "promoting",
}

__all__ = [
    "Block",
    "ClusterScan",
    "Clusterability",
    "ClusterabilityError",
    "ClusterabilityMonitor",
    "CrossClusterLoss",
    "EigenvaluePenalty",
    "GroupLasso",
    "InputError",
    "Layer",
    "ModularPruning",
    "NeuronGraph",
    "PartitionPenalty",
    "RunError",
    "Settings",
    "__version__",
    "balance_",
    "cluster_tags",
    "clusterable_init_",
    "measure",
    "neuron_graph",
    "normalize_",
    "normalized_cut",
    "plot_adjacency",
    "plot_eigenvalues",
    "plot_network",
    "plot_null",
    "plot_series",
    "scan_clusters",
    "toy",
    "validate_clusters",
]


__getattr__ = loaded_when_used(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
