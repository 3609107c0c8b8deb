"""Null models: graphs with the strengths of a network, joined at random."""

from clusterability.nulls.shuffles import NullModel, shuffle_layer, shuffle_nonzero

__all__ = ["NullModel", "shuffle_layer", "shuffle_nonzero"]
