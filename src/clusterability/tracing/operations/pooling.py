"""Rules for operations that mix the pixels of a channel, and for sums and means over axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.tracing.functions import flat_ends
from clusterability.tracing.mixing import (
    PoolingWindow,
    apart,
    fills,
    is_stacked,
    mixed,
    reduced,
    resampled,
    windowed,
    with_shares,
    with_shares_of_copies,
    without_padding,
)
from clusterability.tracing.operations.bounds import larger_or_smaller
from clusterability.tracing.operations.products import product_with_matrix, reduced_axes
from clusterability.tracing.operations.registry import Call, numbers, rule
from clusterability.tracing.origins import Product, Value
from clusterability.tracing.places import are_copies, times_added
from clusterability.tracing.provenance import chosen, gated, joined, moved
from clusterability.tracing.recurring import together_added, with_counts
from clusterability.tracing.shifts import has_shifts, settled
from clusterability.tracing.statistics import expanded
from clusterability.tracing.zeros import cleared

MOST_STACKED = 64
"""Most values in a stack whose running sums are followed one by one."""


def _pooled(call: Call, n_axes: int) -> Value:
    """Return a pooled value, with windows by the call's arguments."""
    value = call.value("self" if "self" in call.arguments else "input")
    how = "mean" if "avg" in call.operation else "pick"
    try:
        axes = _pooled_axes(call, value, n_axes)
        stack, rest = apart(without_padding(value, axes) if how == "mean" else value, axes)
        if not stack.terms:
            return _of_pixels(call, value, n_axes, how)
        parts = [_resampled(call, stack, axes, weighs=how == "mean")]
        if rest.terms:  # of the same sum, so no numbers beside the stack, as statistics would be
            parts.append(expanded(_of_pixels(call, rest, n_axes, how)))
        return (joined if how == "mean" else _largest(call))(parts, call.shape)
    except InputError as error:
        raise call.refusal(str(error)) from None


def _largest(call: Call) -> Callable[..., Value]:
    return lambda parts, shape: call.nonlinear(chosen(parts, shape))


def _resampled(call: Call, stack: Value, axes: list[int], *, weighs: bool) -> Value:
    def run(held: Tensor) -> Tensor:
        others = [torch.zeros(t.shape, dtype=held.dtype) for t in list(call.tensors())[1:]]
        out = call.run([held, *others])
        found: Tensor = out[0] if isinstance(out, tuple) else out
        return found

    return resampled(stack, axes, call.shape, run, weighs=weighs)


def _pooled_axes(call: Call, value: Value, n_axes: int) -> list[int]:
    """Return the axes along which elements are taken together."""
    n = len(value.shape)
    changed = [axis for axis in range(n - n_axes, n) if value.shape[axis] != call.shape[axis]]
    if "kernel_size" not in call.arguments or "fractional" in call.operation:
        return changed
    windows = enumerate(_windows(call, value, n_axes), n - n_axes)
    return [axis for axis, window in windows if window != PoolingWindow(1, 1)]


def _of_pixels(call: Call, value: Value, n_axes: int, how: str) -> Value:
    """Return a pooled value, each term of which is pixels of channels, or else neurons."""
    is_whole = all(size == 1 for size in call.shape[-n_axes:])
    if is_whole or fills(value, range(-n_axes, 0)):
        return mixed(value, range(-n_axes, 0), call.shape, how=how)
    return windowed(value, _windows(call, value, n_axes), call.shape, how=how)


def _windows(call: Call, value: Value, n_axes: int) -> list[PoolingWindow]:
    if "kernel_size" not in call.arguments or "fractional" in call.operation:
        sizes = list(zip(value.shape[-n_axes:], call.shape[-n_axes:], strict=True))
        if "fractional" in call.operation or any(before % after for before, after in sizes):
            raise InputError("its windows differ, and hold different neurons")
        return [PoolingWindow(before // after, before // after) for before, after in sizes]
    given = {
        name: numbers(call.arguments.get(name)) or [default]
        for name, default in (("kernel_size", 1), ("stride", 0), ("padding", 0), ("dilation", 1))
    }
    filled = {name: list(n) * n_axes if len(n) == 1 else list(n) for name, n in given.items()}
    return [
        PoolingWindow(size, stride or size, padding, dilation)
        for size, stride, padding, dilation in zip(*filled.values(), strict=True)
    ]


_POOLED = {
    "max_pool1d": 1,
    "max_pool2d": 2,
    "max_pool3d": 3,
    "avg_pool1d": 1,
    "avg_pool2d": 2,
    "avg_pool3d": 3,
    "adaptive_avg_pool1d": 1,
    "adaptive_avg_pool2d": 2,
    "adaptive_avg_pool3d": 3,
}
"""Number of axes along which each operation has windows."""


@rule(*(f"aten.{name}" for name in _POOLED))
def pooling(call: Call) -> Value:
    """Pool windows of pixels."""
    return _pooled(call, _POOLED[call.operation.removeprefix("aten.")])


_RESIZED = {
    "upsample_linear1d": 1,
    "upsample_bilinear2d": 2,
    "_upsample_bilinear2d_aa": 2,
    "upsample_bicubic2d": 2,
    "_upsample_bicubic2d_aa": 2,
    "upsample_trilinear3d": 3,
}


@rule(*(f"aten.{name}" for name in _RESIZED))
def resizing(call: Call) -> Value:
    """Interpolate pixels; where they are different neurons, each is taken to reach all."""
    n_axes = _RESIZED[call.operation.removeprefix("aten.")]
    value = call.value("self" if "self" in call.arguments else "input")
    try:
        axes = _pooled_axes(call, value, n_axes)
        stack, rest = apart(without_padding(value, axes), axes)
        parts = [_resampled(call, stack, axes, weighs=True)] if stack.terms else []
        if rest.terms:  # it joins neighbors, as a weight would, and is no statistic of them
            parts.append(expanded(mixed(rest, range(-n_axes, 0), call.shape)))
        return joined(parts, call.shape)
    except InputError as error:
        raise call.refusal(str(error)) from None


@rule("aten.cumsum", "aten.cumprod", "aten.logcumsumexp")
def cumulative(call: Call) -> Value:
    """Sum all elements up to each place; where one neuron fills the axis, it fills the result."""
    value = call.value("self")
    axis = int(call["dim"]) % len(value.shape)
    n = value.shape[axis]
    windows = [PoolingWindow(n, 1, n - 1), *[PoolingWindow(1, 1)] * (len(value.shape) - 1 - axis)]
    try:
        is_filled = fills(value, [axis])
        if _recurs(value, axis, is_filled):
            if n > MOST_STACKED:
                raise InputError(f"it sums {n} values one after another")
            return _marked(_running(call, value, axis))
        if is_filled:
            return mixed(value, [axis], call.shape)
        # It joins neurons, as a weight would, and is no statistic of them.
        return _marked(expanded(windowed(value, windows, call.shape, how="sum")))
    except InputError as error:
        raise call.refusal(str(error)) from None


def _recurs(value: Value, axis: int, is_filled: bool) -> bool:
    """Whether values are stacked along an axis, or an element comes again there, not as a pixel."""
    if is_stacked(value, [axis]) or any(are_copies(term, axis) for term in value.terms):
        return True
    if is_filled:
        return False
    mates = together_added(value, [axis])
    return bool(mates) or any(
        bool((times > 1).any()) for term in value.terms for times in times_added([term], [axis])
    )


def _marked(value: Value) -> Value:
    """Return a value whose parts are marked as those of a running sum."""
    terms = (replace(t, origin=replace(t.origin, running=True)) for t in value.terms)
    return Value(value.shape, tuple(terms))


def _running(call: Call, value: Value, axis: int) -> Value:
    """Return what comes so far at each place of a stack of values."""
    n = value.shape[axis]
    shape = tuple(1 if i == axis else size for i, size in enumerate(value.shape))
    pads = [[0] * (2 * (len(shape) - 1 - axis)) + [place, n - 1 - place] for place in range(n)]
    parts: list[Value] = []
    so_far: list[Value] = []
    for place in range(n):
        here = moved([value], [value.shape], lambda x, i=place: x.narrow(axis, i, 1), shape, axis)
        merge = joined if call.operation == "aten.cumsum" else chosen
        so_far = [merge([*so_far, here], shape)]
        put = partial(torch.nn.functional.pad, pad=pads[place])
        parts.append(moved(so_far, [shape], put, call.shape, axis))
    return joined(parts, call.shape)


# Operations that return the index of each maximum too, with the number of axes of their windows.
_WITH_INDICES = {
    "max_pool1d_with_indices": 1,
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
    "adaptive_max_pool1d": 1,
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
    "fractional_max_pool2d": 2,
    "fractional_max_pool3d": 3,
}


@rule(*(f"aten.{name}" for name in _WITH_INDICES))
def with_indices(call: Call) -> tuple[Value, ...]:
    """Return the pooled value twice: as the maxima, and as their indices."""
    out = _pooled(call, _WITH_INDICES[call.operation.removeprefix("aten.")])
    return out, out


_HOW = {
    **dict.fromkeys(("mean", "nanmean"), "mean"),
    **dict.fromkeys(("sum", "nansum", "linalg_vector_norm", "norm"), "sum"),
}

_SUMS = ("aten.sum", "aten.nansum")


@rule(
    *("aten.mean", "aten.sum", "aten.amax", "aten.amin", "aten.logsumexp", "aten.prod"),
    *("aten.linalg_vector_norm", "aten.norm", "aten.std", "aten.var", "aten.nanmean"),
    *("aten.nansum", "aten.any", "aten.all"),
)
def over_axes(call: Call) -> Value:
    """Sum or average over whole axes; of products with a matrix, as a linear layer does."""
    if call.operation in ("aten.sum", "aten.mean"):
        product = product_with_matrix(call)
        if product is not None:
            return product
        (value,) = call.values()
        if isinstance(value, Product):  # all copies of an element, or none, are summed
            call = replace(call, arguments={**call.arguments, "self": value.averaged()})
    return _reduced(call, _HOW.get(call.operation.removeprefix("aten."), "pick"))


@rule("aten.var_mean", "aten.std_mean", "aten.aminmax")
def two_over_axes(call: Call) -> tuple[Value, ...]:
    """Return two statistics of whole axes."""
    out = _reduced(call, "pick")
    has_mean = call.operation in ("aten.var_mean", "aten.std_mean")
    return out, _reduced(call, "mean") if has_mean else out


@rule("aten.max", "aten.min", "aten.median", "aten.mode")
def picking(call: Call) -> Value | tuple[Value, ...]:
    """Pick along an axis (with the index), between two tensors, or among all elements."""
    if "other" in call.arguments:
        return larger_or_smaller(call)
    out = _reduced(call, "pick")
    return (out, out) if len(call.shapes) > 1 else out


def _reduced(call: Call, how: str) -> Value:
    value, axes = call.values()[0], reduced_axes(call)
    if has_shifts(value):
        value = cleared(settled(value, flat_ends(call.operation)))
    keepdim = bool(call.arguments.get("keepdim"))
    try:
        if call.operation in _SUMS:
            value, how = with_counts(value, axes), "counts"
        if how == "mean":
            value = with_shares_of_copies(value, axes)
        if is_stacked(value, axes):
            return _of_stack(call, value, axes, keepdim, how)
        return reduced(value, axes, keepdim, how=how)
    except InputError as error:
        raise call.refusal(str(error)) from None


def _of_stack(call: Call, value: Value, axes: list[int], keepdim: bool, how: str) -> Value:
    """Return what takes values together that are stacked along the axes, as a sum of them does."""
    if how == "mean":
        value = with_shares(value, axes)
    whole = reduced(value, axes, keepdim, how=how)
    if how == "mean" or call.operation in _SUMS:
        return joined([whole], call.shape)
    if call.operation == "aten.prod":
        return gated([Value(call.shape, (term,)) for term in whole.terms], call.shape)
    return call.nonlinear(chosen([whole], call.shape))
