"""Training for clusterability: section 4 of Filan et al. (2021)."""

from clusterability.promoting.initialization import clusterable_init_

__all__ = ["clusterable_init_"]
