"""Clusterability promoted in training: for any PyTorch module, in anyone's loop."""

from clusterability.promoting.penalties import EigenvaluePenalty

__all__ = ["EigenvaluePenalty"]
