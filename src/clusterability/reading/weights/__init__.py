"""Readers of files of weights: PyTorch, safetensors and NumPy."""

from clusterability.reading.weights.weight_files import read_weights

__all__ = ["read_weights"]
