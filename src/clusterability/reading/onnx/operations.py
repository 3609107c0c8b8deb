"""All registered ONNX operations, and the way to add one.

An operation is a function of a :class:`~clusterability.reading.onnx.registry.NodeCall` and the
node's inputs. To add one, register it before the file is read::

    @operation("com.microsoft.BiasGelu")
    def _bias_gelu(call: NodeCall, x: Tensor, bias: Tensor) -> Tensor:
        return F.gelu(x + bias)
"""

from clusterability.reading.onnx import (
    activations,
    arithmetic,
    convolutions,
    linear,
    normalizations,
    pooling,
    resizing,
    shapes,
)
from clusterability.reading.onnx.registry import ONNX_OPERATIONS, NodeCall, OnnxOperation, operation

__all__ = ["ONNX_OPERATIONS", "NodeCall", "OnnxOperation", "operation"]

# Importing these modules fills the registry.
_FILLED_BY = (
    activations,
    arithmetic,
    convolutions,
    linear,
    normalizations,
    pooling,
    resizing,
    shapes,
)
