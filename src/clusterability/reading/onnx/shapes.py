"""ONNX's operations that move values and change shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clusterability.reading.onnx.graph import Array
from clusterability.reading.onnx.registry import NodeCall, NodeValue, operation
from clusterability.reading.onnx.tensors import numpy_dtype


@operation("Shape")
def _shape(call: NodeCall, x: Tensor) -> Array:
    sizes = [int(size) for size in x.shape]
    return np.array(sizes[slice(call.get("start", 0), call.get("end"))], np.int64)


@operation("Size")
def _size(_call: NodeCall, x: Tensor) -> Array:
    return np.array(math.prod(int(size) for size in x.shape), np.int64)


@operation("Identity", "Dropout")
def _identity(_call: NodeCall, x: Tensor, *_ratio_and_mode: Tensor) -> Tensor:
    return x


@operation("Cast", "CastLike")
def _cast(call: NodeCall, x: Tensor, like: Tensor | None = None) -> Tensor:
    if like is not None:
        return x.to(like.dtype)
    dtype = numpy_dtype(call.get("to"), call.node.shown)
    if np.issubdtype(dtype, np.floating):
        # All floats have the module's one type.
        return x if x.is_floating_point() else x.to(call.float_type)
    return x.to(torch.from_numpy(np.zeros(0, dtype)).dtype)


@operation("Reshape", numbers=(1,))
def _reshape(call: NodeCall, x: Tensor, given: NodeValue = None) -> Tensor:
    sizes = call.axes(given, "shape")
    if sizes is None:
        raise call.refusal("has no shape; export the model again")
    if not call.get("allowzero", 0):
        sizes = [size or int(x.shape[i]) for i, size in enumerate(sizes)]
    return x.reshape(sizes)


@operation("Flatten")
def _flatten(call: NodeCall, x: Tensor) -> Tensor:
    axis = call.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    if axis == 1 and x.ndim > 1:
        return torch.flatten(x, 1)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operation("Transpose")
def _transpose(call: NodeCall, x: Tensor) -> Tensor:
    return x.permute(call.get("perm") or list(reversed(range(x.ndim))))


@operation("Squeeze", numbers=(1,))
def _squeeze(call: NodeCall, x: Tensor, given: NodeValue = None) -> Tensor:
    axes = call.axes(given)
    return x.squeeze() if axes is None else x.squeeze(axes)


@operation("Unsqueeze", numbers=(1,))
def _unsqueeze(call: NodeCall, x: Tensor, given: NodeValue = None) -> Tensor:
    axes = call.axes(given) or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operation("Concat")
def _concat(call: NodeCall, *xs: Tensor) -> Tensor:
    return torch.cat(xs, call.get("axis", 1))


@operation("Split", numbers=(1,))
def _split(call: NodeCall, x: Tensor, given: NodeValue = None) -> tuple[Tensor, ...]:
    axis = call.get("axis", 0)
    sizes = call.axes(given, "split")
    if sizes is None:
        size, n_parts = int(x.shape[axis]), call.get("num_outputs", len(call.node.outputs))
        part = -(-size // n_parts)
        sizes = [min(part, max(0, size - i * part)) for i in range(n_parts)]
    return torch.split(x, sizes, axis)


@operation("Slice", numbers=(1, 2, 3, 4))
def _slice(
    call: NodeCall,
    x: Tensor,
    starts: NodeValue = None,
    ends: NodeValue = None,
    axes: NodeValue = None,
    steps: NodeValue = None,
) -> Tensor:
    begins, stops = call.axes(starts, "starts") or [], call.axes(ends, "ends") or []
    along = call.axes(axes) or list(range(len(begins)))
    strides = call.axes(steps, "steps") or [1] * len(begins)
    for axis, begin, stop, stride in zip(along, begins, stops, strides, strict=True):
        x = _sliced(x, axis % x.ndim, range(*slice(begin, stop, stride).indices(x.shape[axis])))
    return x


def _sliced(x: Tensor, axis: int, rows: range) -> Tensor:
    if rows == range(x.shape[axis]):
        return x
    if rows.step < 0:
        # torch has no negative steps: take the same rows in ascending order, and flip them.
        return _sliced(x, axis, rows[::-1]).flip(axis)
    keep = slice(rows.start, max(rows.start, rows.stop), rows.step)
    return x[(slice(None),) * axis + (keep,)]


@operation("Gather", numbers=(1,))
def _gather(call: NodeCall, x: Tensor, indices: NodeValue) -> Tensor:
    axis = call.get("axis", 0) % x.ndim
    size = int(x.shape[axis])
    if isinstance(indices, Tensor):
        flat = x.index_select(axis, indices.reshape(-1))
        return flat.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    indices = call.array(indices, "indices")
    places = np.where(indices < 0, indices + size, indices)
    if ((places < 0) | (places >= size)).any():
        raise call.refusal(
            f"has indices outside of its axis of size {size}; export the model again"
        )
    if places.ndim == 0:
        return x.select(axis, int(places))
    flat = x.index_select(axis, torch.tensor(places.ravel().tolist()))
    return flat if places.ndim == 1 else torch.unflatten(flat, axis, places.shape)


@operation("Expand", numbers=(1,))
def _expand(call: NodeCall, x: Tensor, shape: NodeValue) -> Tensor:
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(call.axes(shape, "shape") or ())))


@operation("Tile", numbers=(1,))
def _tile(call: NodeCall, x: Tensor, repeats: NodeValue) -> Tensor:
    return x.repeat(call.axes(repeats, "repeats") or [])


@operation("Pad", numbers=(1, 2, 3))
def _pad(
    call: NodeCall,
    x: Tensor,
    given: NodeValue = None,
    value: NodeValue = None,
    axes: NodeValue = None,
) -> Tensor:
    pads = call.axes(given, "pads") or []
    along = call.axes(axes) or list(range(x.ndim))
    half = len(pads) // 2
    sizes = [(0, 0)] * x.ndim
    for axis, begin, end in zip(along, pads[:half], pads[half:], strict=True):
        sizes[axis] = (begin, end)
    while len(sizes) > 1 and sizes[0] == (0, 0):
        sizes.pop(0)
    fill = call.get("value", 0.0) if value is None else call.array(value, "value").item()
    return _padded(call, x, sizes, fill)


def _padded(call: NodeCall, x: Tensor, sizes: list[tuple[int, int]], fill: Any) -> Tensor:
    mode = call.get("mode", "constant")
    if mode == "constant":
        return F.pad(x, [n for pair in reversed(sizes) for n in pair], value=fill)
    # torch takes the other modes for whole images only: every axis after batch and channel.
    n_image = x.ndim - 2
    if len(sizes) > n_image:
        raise call.refusal(f"pads more than the image in mode {mode}, which torch does not")
    sizes = [(0, 0)] * (n_image - len(sizes)) + sizes
    modes = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return F.pad(x, [n for pair in reversed(sizes) for n in pair], mode=modes[mode])


@operation("DepthToSpace")
def _depth_to_space(call: NodeCall, x: Tensor) -> Tensor:
    block = call.get("blocksize")
    if call.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, channels, height, width = x.shape
    x = x.reshape(n, block, block, channels // block**2, height, width)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, height * block, width * block)


@operation("SpaceToDepth")
def _space_to_depth(call: NodeCall, x: Tensor) -> Tensor:
    block = call.get("blocksize")
    n, channels, height, width = x.shape
    x = x.reshape(n, channels, height // block, block, width // block, block)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, height // block, width // block)
