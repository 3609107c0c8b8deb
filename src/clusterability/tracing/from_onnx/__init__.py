"""ONNX files as PyTorch modules, which are then traced like any other."""

from clusterability.tracing.from_onnx.files import read_onnx

__all__ = ["read_onnx"]
