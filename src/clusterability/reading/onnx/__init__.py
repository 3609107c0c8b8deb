"""ONNX files as PyTorch modules, which are then traced like any other."""

from clusterability.reading.onnx.onnx_files import read_onnx

__all__ = ["read_onnx"]
