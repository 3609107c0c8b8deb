"""ONNX's normalizations."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.registry import NodeCall, operation


@operation("BatchNormalization")
def _batch_normalization(
    call: NodeCall, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    if call.get("training_mode", 0) or len(list(filter(None, call.node.outputs))) > 1:
        raise call.refusal("is in training mode; export the model in evaluation mode")
    if not call.get("spatial", 1):
        raise call.refusal("normalizes every pixel by itself (spatial=0), which torch lacks")
    epsilon = call.get("epsilon", 1e-5)
    return F.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)


@operation("InstanceNormalization")
def _instance_normalization(call: NodeCall, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=call.get("epsilon", 1e-5))


@operation("LayerNormalization")
def _layer_normalization(
    call: NodeCall, x: Tensor, scale: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    shape = x.shape[call.get("axis", -1) :]
    if scale is not None and scale.shape != shape:
        scale = scale.expand(shape)
    if bias is not None and bias.shape != shape:
        bias = bias.expand(shape)
    return F.layer_norm(x, shape, scale, bias, call.get("epsilon", 1e-5))


@operation("RMSNormalization")
def _rms_normalization(call: NodeCall, x: Tensor, scale: Tensor) -> Tensor:
    shape = x.shape[call.get("axis", -1) :]
    return F.rms_norm(x, shape, scale.expand(shape), call.get("epsilon", 1e-5))


@operation("LpNormalization")
def _lp_normalization(call: NodeCall, x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, call.get("p", 2), call.get("axis", -1), keepdim=True)
    return x / norm


@operation("MeanVarianceNormalization")
def _mean_variance_normalization(call: NodeCall, x: Tensor) -> Tensor:
    axes = call.get("axes", [0, 2, 3])
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) / (variance.sqrt() + 1e-9)


@operation("GroupNormalization")
def _group_normalization(call: NodeCall, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    n_groups = call.get("num_groups")
    if scale.shape[0] == n_groups != x.shape[1]:
        # Before opset 21 there was one scale for each group.
        n_each = x.shape[1] // n_groups
        scale, bias = scale.repeat_interleave(n_each), bias.repeat_interleave(n_each)
    return F.group_norm(x, n_groups, scale, bias, call.get("epsilon", 1e-5))


@operation("LRN")
def _local_response_normalization(call: NodeCall, x: Tensor) -> Tensor:
    # torch's own function puts the window of an even size on the other side.
    size = call.get("size")
    squares = x.square().reshape(x.shape[0], 1, x.shape[1], -1)
    around = F.pad(squares, (0, 0, (size - 1) // 2, size // 2))
    mean = F.avg_pool2d(around, (size, 1), 1).reshape(x.shape)
    divisor = torch.pow(
        call.get("bias", 1.0) + call.get("alpha", 1e-4) * mean, call.get("beta", 0.75)
    )
    return x / divisor
