"""ONNX's matrix products, and weights stored as whole numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.registry import NodeCall, operation


@operation("MatMul")
def _matmul(call: NodeCall, a: Tensor, b: Tensor) -> Tensor:
    if call.constant == (False, True) and b.ndim == 2:
        return F.linear(a, b.t())
    return torch.matmul(a, b)


@operation("Gemm")
def _gemm(call: NodeCall, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    a = a.t() if call.get("transA", 0) else a
    weight = b if call.get("transB", 0) else b.t()
    if c is not None and beta != 1:
        c = c * beta
    if call.constant[0] or not call.constant[1]:
        product = torch.matmul(a, weight.t())
        product = product if alpha == 1 else product * alpha
        return product if c is None else product + c
    weight = weight if alpha == 1 else weight * alpha
    n_out = weight.shape[0]
    if c is None or c.shape == (n_out,):
        return F.linear(a, weight, c)
    if c.shape == (1, n_out) and call.constant[2]:
        return F.linear(a, weight, c.reshape(-1))
    return F.linear(a, weight) + c


@operation("Einsum")
def _einsum(call: NodeCall, *operands: Tensor) -> Tensor:
    return torch.einsum(call.get("equation"), *operands)


@operation("QuantizeLinear")
def _quantize(_call: NodeCall, x: Tensor, *_scale_and_zero: Tensor) -> Tensor:
    return x  # not rounded: a float passes DequantizeLinear as it is


@operation("DequantizeLinear")
def _dequantize(
    call: NodeCall, x: Tensor, scale: Tensor, zero_point: Tensor | None = None
) -> Tensor:
    if x.is_floating_point():
        return x
    if scale.numel() > 1 and scale.ndim != 1:
        raise call.refusal("is quantized in blocks, which is not supported; store floats")
    sizes = [1] * x.ndim
    if scale.numel() > 1:
        sizes[call.get("axis", 1)] = -1
    shifted = x.to(scale.dtype)
    if zero_point is not None:
        shifted = shifted - zero_point.to(scale.dtype).reshape(sizes)
    return shifted * scale.reshape(sizes)
