"""ONNX's resizing of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.graph import Array
from clusterability.reading.onnx.registry import NodeCall, NodeValue, operation

_SMOOTH = {("linear", 1): "linear", ("linear", 2): "bilinear", ("linear", 3): "trilinear"}
_SMOOTH["cubic", 2] = "bicubic"


@operation("Upsample", numbers=(1,))
def _upsample(call: NodeCall, x: Tensor, given: NodeValue = None) -> Tensor:
    scales = _floats(call, given, "scales") or []
    return _resized(call, x, scales, None, coordinates="asymmetric", rounding="floor")


@operation("Resize", numbers=(1, 2, 3))
def _resize(
    call: NodeCall,
    x: Tensor,
    roi: NodeValue = None,
    scales: NodeValue = None,
    sizes: NodeValue = None,
) -> Tensor:
    if call.opset < 11:
        # Before opset 11 the second input held the scales, and a pixel's coordinate was its index.
        given = _floats(call, roi, "scales") or []
        return _resized(call, x, given, None, coordinates="asymmetric", rounding="floor")
    for name, plain in (("keep_aspect_ratio_policy", "stretch"), ("exclude_outside", 0)):
        if call.get(name, plain) != plain:
            raise call.refusal(f"has {name}, which torch's resizing lacks; export without it")
    new = call.axes(sizes, "sizes") if sizes is not None and np.size(sizes) else None
    factors = None if new else _floats(call, scales, "scales") or []
    axes = call.get("axes")
    if axes:
        new = None if new is None else _spread(new, axes, list(x.shape))
        factors = None if factors is None else _spread(factors, axes, [1.0] * x.ndim)
    coordinates = call.get("coordinate_transformation_mode", "half_pixel")
    rounding = call.get("nearest_mode", "round_prefer_floor")
    return _resized(call, x, factors, new, coordinates=coordinates, rounding=rounding)


def _floats(call: NodeCall, given: NodeValue, name: str) -> list[float] | None:
    values = call.get(name) if given is None else call.array(given, name)
    return None if values is None else [float(value) for value in np.ravel(values)]


def _spread(values: Sequence[Any], axes: Sequence[int], rest: list[Any]) -> list[Any]:
    """Return ``rest`` with the values at their axes."""
    for axis, value in zip(axes, values, strict=True):
        rest[axis] = value
    return rest


def _resized(
    call: NodeCall,
    x: Tensor,
    scales: list[float] | None,
    sizes: list[int] | None,
    *,
    coordinates: str,
    rounding: str,
) -> Tensor:
    """Return the image in its new size; batch and channels must keep theirs."""
    old = [int(size) for size in x.shape]
    if sizes is None:
        sizes = [math.floor(n * scale) for n, scale in zip(old, scales or [], strict=True)]
    scales = scales or [new / n for n, new in zip(old, sizes, strict=True)]
    if sizes[:2] != old[:2] or x.ndim < 3:
        raise call.refusal(
            f"resizes {old} to {sizes}, expected the batch and the channels to keep their sizes"
        )
    mode = call.get("mode", "nearest")
    if mode == "nearest":
        return _nearest(call, x, scales[2:], sizes[2:], coordinates, rounding)
    return _smooth(call, x, mode, scales[2:], sizes[2:], coordinates)


def _smooth(
    call: NodeCall,
    x: Tensor,
    mode: str,
    scales: list[float],
    sizes: list[int],
    coordinates: str,
) -> Tensor:
    name = _SMOOTH.get((mode, len(sizes)))
    # Upsample does not define coordinates; exporters that write it mean half pixels.
    half = coordinates in ("half_pixel", "pytorch_half_pixel") or call.node.op_type == "Upsample"
    if name is None or not (half or coordinates == "align_corners"):
        raise call.refusal(
            f"resizes in mode {mode} with the coordinates {coordinates}, which torch lacks; use "
            "half_pixel or align_corners"
        )
    if not half:
        return F.interpolate(x, sizes, mode=name, align_corners=True)
    smooth = bool(call.get("antialias", 0))
    # Pass the scales, as the ratios of sizes differ from them by rounding.
    return F.interpolate(
        x,
        scale_factor=scales,
        mode=name,
        align_corners=False,
        antialias=smooth,
        recompute_scale_factor=False,
    )


def _nearest(
    call: NodeCall,
    x: Tensor,
    scales: list[float],
    sizes: list[int],
    coordinates: str,
    rounding: str,
) -> Tensor:
    """Return an image of nearest pixels, by torch's own function where it picks the same."""
    old = [int(size) for size in x.shape[2:]]
    picks = [
        _picked(call, n, new, scale, coordinates, rounding)
        for n, new, scale in zip(old, sizes, scales, strict=True)
    ]
    repeats = [new // n if new % n == 0 else 0 for n, new in zip(old, sizes, strict=True)]
    same = all(
        repeat > 0 and np.array_equal(pick, np.arange(new) // repeat)
        for pick, new, repeat in zip(picks, sizes, repeats, strict=True)
    )
    if same and len(old) <= 3:
        return F.interpolate(x, sizes, mode="nearest")
    for axis, pick in enumerate(picks, 2):
        x = x.index_select(axis, torch.tensor(pick.tolist()))
    return x


def _picked(
    call: NodeCall, n_old: int, n_new: int, scale: float, coordinates: str, rounding: str
) -> Array:
    """Return for each new row the old row that it repeats."""
    rows = np.arange(n_new)
    places: Array
    if coordinates == "asymmetric":
        places = rows / scale
    elif coordinates == "align_corners":
        places = rows * (n_old - 1) / max(1, n_new - 1)
    elif coordinates in ("half_pixel", "pytorch_half_pixel"):
        one = coordinates == "pytorch_half_pixel" and n_new == 1
        places = np.zeros(1) if one else (rows + 0.5) / scale - 0.5
    else:
        raise call.refusal(f"has the coordinates {coordinates}, which are not supported")
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }
    return rounded[rounding].clip(0, n_old - 1).astype(np.int64)
