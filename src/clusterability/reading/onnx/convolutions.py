"""ONNX's convolutions, and the windows that slide over images in them and in pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.registry import NodeCall, operation

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@dataclass(frozen=True)
class KernelWindow:
    """Sizes of a sliding window, its steps and its padding, along each axis of an image."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def symmetric(self) -> bool:
        """Whether padding before and after each axis is equal, and not negative."""
        return self.begins == self.ends and min(self.begins, default=0) >= 0

    @property
    def extents(self) -> tuple[int, ...]:
        """Number of rows that the window spans along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def window(call: NodeCall, image: Sequence[int], kernel: Sequence[int]) -> KernelWindow:
    """Return the window of a convolution or pooling over an image of the given sizes.

    Raises:
        InputError: if the node does not give one number for each axis, or the image does not have
            1 to 3 axes.
    """
    n_axes = len(image)
    if n_axes not in _CONVOLUTIONS or len(kernel) != n_axes:
        raise call.refusal(
            f"has a window of {len(kernel)} axes for an image of {n_axes}, expected the same "
            "number for both, from 1 to 3"
        )
    strides = _each(call, "strides", n_axes, 1)
    dilations = _each(call, "dilations", n_axes, 1)
    pads = _each(call, "pads", 2 * n_axes, 0)
    plain = KernelWindow(tuple(kernel), strides, dilations, pads[:n_axes], pads[n_axes:])
    auto_pad = call.get("auto_pad", "NOTSET")
    if auto_pad == "VALID":
        zeros = (0,) * n_axes
        return KernelWindow(plain.kernel, strides, dilations, zeros, zeros)
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        return plain
    totals = [
        max(0, (-(-size // stride) - 1) * stride + extent - size)
        for size, stride, extent in zip(image, strides, plain.extents, strict=True)
    ]
    begins, ends = halves(totals, upper=auto_pad == "SAME_UPPER")
    return KernelWindow(plain.kernel, strides, dilations, begins, ends)


def halves(totals: Sequence[int], *, upper: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return each total in two halves, an odd one with more at the end (``upper``) or beginning."""
    small = tuple(total // 2 for total in totals)
    large = tuple(total - half for total, half in zip(totals, small, strict=True))
    return (small, large) if upper else (large, small)


def pad_image(x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float = 0.0) -> Tensor:
    """Add rows of one value around the last axes, or remove rows where sizes are negative."""
    pairs = zip(reversed(begins), reversed(ends), strict=True)
    return F.pad(x, [size for pair in pairs for size in pair], value=value)


def _each(call: NodeCall, name: str, n: int, default: int) -> tuple[int, ...]:
    values = tuple(call.get(name) or (default,) * n)
    if len(values) != n:
        raise call.refusal(f"has {len(values)} numbers as {name}, expected {n}")
    return values


@operation("Conv")
def _conv(call: NodeCall, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    w = window(call, x.shape[2:], weight.shape[2:])
    padding = w.begins
    if not w.symmetric:
        x, padding = pad_image(x, w.begins, w.ends), (0,) * len(padding)
    convolution = _CONVOLUTIONS[len(padding)]
    return convolution(x, weight, bias, w.strides, padding, w.dilations, call.get("group", 1))


@operation("ConvTranspose")
def _conv_transpose(
    call: NodeCall, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    w = window(call, x.shape[2:], weight.shape[2:])
    extra = _each(call, "output_padding", len(w.kernel), 0)
    begins, ends, extra = _cropping(call, x.shape[2:], w, extra)
    cropped = begins != ends
    padding = (0,) * len(begins) if cropped else begins
    transposed = _TRANSPOSED[len(padding)]
    y = transposed(x, weight, bias, w.strides, padding, extra, call.get("group", 1), w.dilations)
    if cropped:
        y = pad_image(y, [-begin for begin in begins], [-end for end in ends])
    return y


def _cropping(
    call: NodeCall, image: Sequence[int], w: KernelWindow, extra: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the rows to remove before and after each axis, and the rows to add after it."""
    auto_pad = call.get("auto_pad", "NOTSET")
    wanted = call.get("output_shape")
    if not wanted:
        if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
            return w.begins, w.ends, extra
        wanted = [size * stride for size, stride in zip(image, w.strides, strict=True)]
    sizes = zip(image, w.strides, w.extents, extra, wanted[-len(image) :], strict=True)
    totals = [stride * (n - 1) + extent + more - new for n, stride, extent, more, new in sizes]
    begins, ends = halves([max(0, total) for total in totals], upper=auto_pad == "SAME_UPPER")
    more = tuple(old + max(0, -total) for old, total in zip(extra, totals, strict=True))
    return begins, ends, more
