"""ONNX's pooling."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.convolutions import KernelWindow, pad_image, window
from clusterability.reading.onnx.registry import NodeCall, operation

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@operation("MaxPool")
def _max_pool(call: NodeCall, x: Tensor) -> Tensor:
    w = window(call, x.shape[2:], call.get("kernel_shape"))
    padding = w.begins
    if not _torch_pads(w):
        x, padding = pad_image(x, w.begins, w.ends, float("-inf")), (0,) * len(padding)
    ceil = bool(call.get("ceil_mode", 0))
    pool = _MAX[len(padding)]
    return pool(x, w.kernel, w.strides, padding, w.dilations, ceil_mode=ceil)


@operation("AveragePool")
def _average_pool(call: NodeCall, x: Tensor) -> Tensor:
    w = window(call, x.shape[2:], call.get("kernel_shape"))
    if max(w.dilations) > 1:
        raise call.refusal("has dilations, which torch's average pooling lacks; export without")
    with_padding = bool(call.get("count_include_pad", 0))
    ceil = bool(call.get("ceil_mode", 0))
    pool = _AVERAGE[len(w.kernel)]
    if _torch_pads(w):
        return pool(x, w.kernel, w.strides, w.begins, ceil, with_padding)
    average = pool(pad_image(x, w.begins, w.ends), w.kernel, w.strides, 0, ceil)
    if with_padding:
        return average
    # The share of each window that lies in the image.
    share = pool(pad_image(x.new_ones(x.shape[2:])[None], w.begins, w.ends), w.kernel, w.strides)
    return average / share


def _torch_pads(w: KernelWindow) -> bool:
    """Whether torch can pad: equally on both sides, by at most half of the kernel."""
    return w.symmetric and all(2 * n <= k for n, k in zip(w.begins, w.kernel, strict=True))


@operation("GlobalAveragePool")
def _global_average_pool(_call: NodeCall, x: Tensor) -> Tensor:
    return x.mean(list(range(2, x.ndim)), keepdim=True)


@operation("GlobalMaxPool")
def _global_max_pool(_call: NodeCall, x: Tensor) -> Tensor:
    return x.amax(list(range(2, x.ndim)), keepdim=True)
