"""ONNX's activations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.registry import NodeCall, NodeValue, operation

# ONNX's default constants, which torch's selu has built in.
_SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}


@operation("Relu")
def _relu(_call: NodeCall, x: Tensor) -> Tensor:
    return F.relu(x)


@operation("LeakyRelu")
def _leaky_relu(call: NodeCall, x: Tensor) -> Tensor:
    return F.leaky_relu(x, call.get("alpha", 0.01))


@operation("PRelu")
def _prelu(_call: NodeCall, x: Tensor, slope: Tensor) -> Tensor:
    n_missing = x.ndim - slope.ndim
    sizes = [1] * n_missing + list(slope.shape)
    by_channel = x.ndim > 1 and slope.numel() == sizes[1] == x.shape[1]
    if slope.numel() == 1 or by_channel:
        return F.prelu(x, slope.reshape(-1))
    return torch.where(x > 0, x, slope * x)


@operation("Elu")
def _elu(call: NodeCall, x: Tensor) -> Tensor:
    return F.elu(x, call.get("alpha", 1.0))


@operation("Selu")
def _selu(call: NodeCall, x: Tensor) -> Tensor:
    alpha, gamma = (call.get(name, value) for name, value in _SELU.items())
    if math.isclose(alpha, _SELU["alpha"], rel_tol=1e-4) and math.isclose(
        gamma, _SELU["gamma"], rel_tol=1e-4
    ):
        return F.selu(x)
    return torch.mul(F.elu(x, alpha), gamma)


@operation("Celu")
def _celu(call: NodeCall, x: Tensor) -> Tensor:
    return F.celu(x, call.get("alpha", 1.0))


@operation("ThresholdedRelu")
def _thresholded_relu(call: NodeCall, x: Tensor) -> Tensor:
    return F.threshold(x, call.get("alpha", 1.0), 0.0)


@operation("Sigmoid")
def _sigmoid(_call: NodeCall, x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@operation("HardSigmoid")
def _hard_sigmoid(call: NodeCall, x: Tensor) -> Tensor:
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-4) and beta == 0.5:
        return F.hardsigmoid(x)
    if alpha == 0:
        return torch.clamp(x * alpha + beta, 0.0, 1.0)
    # A product with itself is an activation, as hardsigmoid is: what multiplies it counts no more.
    ends = sorted((-beta / alpha, (1 - beta) / alpha))
    sloping = ((x > ends[0]) & (x < ends[1])).to(x.dtype)
    full = (x >= ends[1] if alpha > 0 else x <= ends[0]).to(x.dtype)
    result: Tensor = (x * sloping) * alpha + sloping * beta + full
    return result


@operation("Shrink")
def _shrink(call: NodeCall, x: Tensor) -> Tensor:
    bias, size = call.get("bias", 0.0), call.get("lambd", 0.5)
    if bias == 0:
        return F.hardshrink(x, size)
    return torch.where(x < -size, x + bias, torch.where(x > size, x - bias, 0.0 * x))


@operation("HardSwish")
def _hard_swish(_call: NodeCall, x: Tensor) -> Tensor:
    return F.hardswish(x)


@operation("Swish")
def _swish(call: NodeCall, x: Tensor) -> Tensor:
    alpha = call.get("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(x * alpha)


@operation("Tanh")
def _tanh(_call: NodeCall, x: Tensor) -> Tensor:
    return torch.tanh(x)


@operation("Softplus")
def _softplus(_call: NodeCall, x: Tensor) -> Tensor:
    return F.softplus(x)


@operation("Softsign")
def _softsign(_call: NodeCall, x: Tensor) -> Tensor:
    return F.softsign(x)


@operation("Gelu")
def _gelu(call: NodeCall, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=call.get("approximate", "none"))


@operation("Mish")
def _mish(_call: NodeCall, x: Tensor) -> Tensor:
    return F.mish(x)


@operation("Clip", numbers=(1, 2))
def _clip(call: NodeCall, x: Tensor, lowest: NodeValue = None, highest: NodeValue = None) -> Tensor:
    bounds = []
    for name, value in (("min", lowest), ("max", highest)):
        number = call.get(name) if value is None else call.array(value, name).item()
        bounds.append(number)
    return x if bounds == [None, None] else torch.clamp(x, *bounds)


@operation("Softmax")
def _softmax(call: NodeCall, x: Tensor) -> Tensor:
    if call.opset >= 13:
        return torch.softmax(x, call.get("axis", -1))
    return _rows(x, call.get("axis", 1)).softmax(-1).reshape(x.shape)


@operation("LogSoftmax")
def _log_softmax(call: NodeCall, x: Tensor) -> Tensor:
    if call.opset >= 13:
        return torch.log_softmax(x, call.get("axis", -1))
    return _rows(x, call.get("axis", 1)).log_softmax(-1).reshape(x.shape)


def _rows(x: Tensor, axis: int) -> Tensor:
    """Return ``x`` with all axes from ``axis`` on as one, over which opsets before 13 normalize."""
    return x.flatten(axis) if axis % x.ndim < x.ndim - 1 else x
