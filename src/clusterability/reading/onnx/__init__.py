"""Readers of ONNX files as PyTorch modules, which are traced like any other module."""

from clusterability.reading.onnx.onnx_files import read_onnx

__all__ = ["read_onnx"]
