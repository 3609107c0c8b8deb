"""Clusters of neurons: k-means in the embedding, local search on the n-cut, the n-cut itself."""

from clusterability.clustering.cut import normalized_cut, volumes_and_cuts

__all__ = ["normalized_cut", "volumes_and_cuts"]
