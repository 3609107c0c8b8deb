"""Training for clusterability: section 4 of Filan et al. (2021), for any module, in any loop.

Names are loaded when first used: a training that uses one of them need not wait for all.
"""

from typing import TYPE_CHECKING

from clusterability.lazy import loaded_when_used

if TYPE_CHECKING:
    from clusterability.promoting.cluster_penalties import (
        CrossClusterLoss,
        GroupLasso,
        PartitionPenalty,
    )
    from clusterability.promoting.initialization import clusterable_init_
    from clusterability.promoting.modular_pruning import ModularPruning
    from clusterability.promoting.normalization import balance_, normalize_
    from clusterability.promoting.penalties import EigenvaluePenalty
    from clusterability.promoting.rescaling import HiddenScales
    from clusterability.promoting.tags import cluster_tags
    from clusterability.promoting.validated import ClusterValidation
    from clusterability.promoting.validation import validate_clusters

_HOMES = {
    "ClusterValidation": "validated",
    "CrossClusterLoss": "cluster_penalties",
    "EigenvaluePenalty": "penalties",
    "GroupLasso": "cluster_penalties",
    "HiddenScales": "rescaling",
    "ModularPruning": "modular_pruning",
    "PartitionPenalty": "cluster_penalties",
    "balance_": "normalization",
    "cluster_tags": "tags",
    "clusterable_init_": "initialization",
    "normalize_": "normalization",
    "validate_clusters": "validation",
}

__all__ = [
    "ClusterValidation",
    "CrossClusterLoss",
    "EigenvaluePenalty",
    "GroupLasso",
    "HiddenScales",
    "ModularPruning",
    "PartitionPenalty",
    "balance_",
    "cluster_tags",
    "clusterable_init_",
    "normalize_",
    "validate_clusters",
]


__getattr__ = loaded_when_used(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
