"""Training for clusterability: section 4 of Filan et al. (2021), for any module, in any loop."""

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
