"""Training for clusterability: section 4 of Filan et al. (2021)."""

from clusterability.promoting.initialization import clusterable_init_
from clusterability.promoting.normalization import balance_, normalize_
from clusterability.promoting.rescaling import HiddenScales

__all__ = ["HiddenScales", "balance_", "clusterable_init_", "normalize_"]
