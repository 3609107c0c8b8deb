"""Pooling, interpolation, and reductions of whole axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from operation_table.entry import Operation, channels, is_line, is_map, wide_line, wide_map
from step_modules import Register

aten = torch.ops.aten

Function = Callable[[Tensor], Tensor]


def as_volume(function: Function) -> Function:
    """Maps as volumes of two equal planes."""
    return lambda x: function(x.unsqueeze(2).repeat_interleave(2, 2)).flatten(2, 3)


def pooled(name: str, n_axes: int, *size: object) -> Operation:
    """Windows of two pixels; the mean in place of a maximum."""
    function = getattr(aten, name)
    average = getattr(functional, f"avg_pool{n_axes}d")

    def pool(stream: Tensor) -> Tensor:
        out = function(stream, *(size or ([2] * n_axes,)))
        return out[0] if isinstance(out, tuple) else out

    def mean(stream: Tensor) -> Tensor:
        if "adaptive" in name:
            return getattr(functional, f"adaptive_avg_pool{n_axes}d")(stream, *size)
        return average(stream, 2)

    fits = wide_line if n_axes == 1 else wide_map
    if n_axes == 3:
        return Operation(as_volume(pool), as_volume(mean), fits)
    return Operation(pool, mean, fits)


def fractional(n_axes: int) -> Operation:
    function = getattr(aten, f"fractional_max_pool{n_axes}d")
    average = getattr(functional, f"adaptive_avg_pool{n_axes}d")

    def pool(stream: Tensor) -> Tensor:
        samples = torch.zeros(len(stream), stream.shape[1], n_axes, dtype=stream.dtype)
        return function(stream, [1, 2, 2][-n_axes:], [1] * n_axes, samples)[0]

    def mean(stream: Tensor) -> Tensor:
        return average(stream, 1)

    if n_axes == 3:
        return Operation(as_volume(pool), as_volume(mean), wider_map)
    return Operation(pool, mean, wider_map)


def wider_map(register: Register) -> bool:
    return is_map(register) and min(register.shape[1:]) >= 3


def resized(name: str, n_axes: int, *options: object) -> Operation:
    function = getattr(aten, name)

    def resize(stream: Tensor) -> Tensor:
        return function(stream, [size + 1 for size in stream.shape[2:]], *options)

    if n_axes == 3:
        return Operation(as_volume(resize), fits=is_map)
    return Operation(resize, fits=is_line if n_axes == 1 else is_map)


def pixel_axes(stream: Tensor) -> list[int]:
    return list(range(2, stream.ndim))


def reduced(function: Function) -> Operation:
    return Operation(function, lambda x: x.mean(pixel_axes(x)), channels)


def picked(function: Function) -> Operation:
    return Operation(function, lambda x: x.flatten(2).mean(2), channels)


POOLING = {
    **{
        f"{kind}_pool{n}d": pooled(f"{kind}_pool{n}d", n)
        for kind in ("max", "avg")
        for n in (1, 2, 3)
    },
    **{f"max_pool{n}d_with_indices": pooled(f"max_pool{n}d_with_indices", n) for n in (1, 2, 3)},
    **{
        f"adaptive_{kind}_pool{n}d": pooled(f"adaptive_{kind}_pool{n}d", n, [2] * n)
        for kind in ("max", "avg")
        for n in (1, 2, 3)
    },
    "fractional_max_pool2d": fractional(2),
    "fractional_max_pool3d": fractional(3),
    "upsample_linear1d": resized("upsample_linear1d", 1, False),
    "upsample_bilinear2d": resized("upsample_bilinear2d", 2, False),
    "upsample_bicubic2d": resized("upsample_bicubic2d", 2, False),
    "_upsample_bilinear2d_aa": resized("_upsample_bilinear2d_aa", 2, False),
    "_upsample_bicubic2d_aa": resized("_upsample_bicubic2d_aa", 2, False),
    "upsample_trilinear3d": resized("upsample_trilinear3d", 3, False),
    **{
        name: resized(name, n)
        for n in (1, 2, 3)
        for name in (f"upsample_nearest{n}d", f"_upsample_nearest_exact{n}d")
    },
    "mean": reduced(lambda x: x.mean(pixel_axes(x))),
    "sum": reduced(lambda x: x.sum(pixel_axes(x))),
    "nansum": reduced(lambda x: x.nansum(pixel_axes(x))),
    "var_mean": reduced(lambda x: torch.var_mean(x, pixel_axes(x), correction=0)[1]),
    "std_mean": reduced(lambda x: torch.std_mean(x, pixel_axes(x), correction=0)[1]),
    "nanmean": reduced(lambda x: x.nanmean(pixel_axes(x))),
    "amax": reduced(lambda x: x.amax(pixel_axes(x))),
    "amin": reduced(lambda x: x.amin(pixel_axes(x))),
    "logsumexp": reduced(lambda x: x.logsumexp(pixel_axes(x))),
    "linalg_vector_norm": reduced(lambda x: torch.linalg.vector_norm(x, dim=pixel_axes(x))),
    "norm": reduced(lambda x: aten.norm(x, 2, pixel_axes(x))),
    "std": reduced(lambda x: x.std(pixel_axes(x), correction=0)),
    "var": reduced(lambda x: x.var(pixel_axes(x), correction=0)),
    "cumsum": Operation(lambda x: x.cumsum(2), fits=channels),
    "cumprod": Operation(lambda x: x.cumprod(2), lambda x: x.cumsum(2), channels),
    "logcumsumexp": Operation(lambda x: x.logcumsumexp(2), lambda x: x.cumsum(2), channels),
    "prod": picked(lambda x: x.flatten(2).prod(2)),
    "max": picked(lambda x: x.flatten(2).max(2).values),
    "min": picked(lambda x: x.flatten(2).min(2).values),
    "median": picked(lambda x: x.flatten(2).median(2).values),
    "aminmax": picked(lambda x: x.flatten(2).aminmax(dim=2).max),
    "any": picked(lambda x: (x.flatten(2) > 0).any(2).to(x.dtype)),
    "all": picked(lambda x: (x.flatten(2) > 0).all(2).to(x.dtype)),
    "mode": picked(lambda x: x.flatten(2).mode(2).values),
}
