"""Weight operations by the functions behind them, as modules of one weight each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from operation_table.entry import OperationModule, is_features, is_line, is_map
from step_modules import Register, Weighing

Function = Callable[..., Tensor]
N_OUT = 3


def dense(function: Function, *shapes: Callable[[int], tuple[int, ...]]) -> OperationModule:
    """Reads features; shapes of its weights by their number."""
    return OperationModule(
        lambda r: Weighing(function, [shape(r.shape[0]) for shape in shapes], -1), is_features
    )


def of_channels(function: Function) -> OperationModule:
    """Reads channels on the last axis but one."""
    return OperationModule(lambda r: Weighing(function, [(N_OUT, r.shape[0])], 1), is_line)


def convolution(n_axes: int, function: Function, transposed: bool = False) -> OperationModule:
    def make(register: Register) -> Weighing:
        n_in, size = register.shape[0], [1] * n_axes
        shape = (n_in, N_OUT, *size) if transposed else (N_OUT, n_in, *size)
        return Weighing(function, [shape], 1)

    return OperationModule(make, {1: is_line, 2: is_map, 3: is_map}[n_axes])


def as_volume(function: Function) -> Function:
    return lambda x, weight: function(x.unsqueeze(2), weight).squeeze(2)


def any_convolution(transposed: bool) -> Function:
    def convolve(stream: Tensor, weight: Tensor) -> Tensor:
        n = weight.ndim - 2
        ones, none = [1] * n, [0] * n
        return torch.convolution(stream, weight, None, ones, none, ones, transposed, none, 1)

    return convolve


def out_in(n: int) -> tuple[int, ...]:
    return N_OUT, n


def in_out(n: int) -> tuple[int, ...]:
    return n, N_OUT


def bias(_n: int) -> tuple[int, ...]:
    return (N_OUT,)


def row_by_row(function: Function) -> Function:
    """What knows no batch."""
    return lambda x, *weights: torch.stack([function(row, *weights) for row in x.unbind()])


WEIGHING = {
    "linear": dense(lambda x, w, b: functional.linear(x, w, b), out_in, bias),
    "matmul": of_channels(lambda x, w: torch.matmul(w, x)),
    "mm": dense(torch.mm, in_out),
    "mv": dense(row_by_row(lambda row, w: torch.mv(w, row)), out_in),
    "addmm": dense(lambda x, w, b: torch.addmm(b, x, w), in_out, bias),
    "addmv": dense(row_by_row(lambda row, w, b: torch.addmv(b, w, row)), out_in, bias),
    "bmm": of_channels(lambda x, w: torch.bmm(w.expand(len(x), *w.shape), x)),
    "baddbmm": of_channels(
        lambda x, w: torch.baddbmm(torch.zeros(1, dtype=x.dtype), w.expand(len(x), *w.shape), x)
    ),
    "inner": dense(torch.inner, out_in),
    "tensordot": of_channels(lambda x, w: torch.tensordot(x, w, ([1], [1])).movedim(-1, 1)),
    "einsum": of_channels(lambda x, w: torch.einsum("oc,bc...->bo...", w, x)),
    "conv1d": convolution(1, functional.conv1d),
    "conv2d": convolution(2, functional.conv2d),
    "conv3d": convolution(3, as_volume(functional.conv3d)),
    "conv_transpose1d": convolution(1, functional.conv_transpose1d, True),
    "conv_transpose2d": convolution(2, functional.conv_transpose2d, True),
    "conv_transpose3d": convolution(3, as_volume(functional.conv_transpose3d), True),
    "convolution": convolution(2, any_convolution(True), True),
}
