"""Data movement. What is moved stays a channel's, its first pixel data."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from operation_table.entry import (
    Operation,
    channels,
    few,
    four_channels,
    is_features,
    is_map,
    many,
    no_image,
    small_map,
    wide_line,
    wide_map,
)

aten = torch.ops.aten


def backward(stream: Tensor) -> Tensor:
    """Channel numbers, the last one first."""
    return torch.arange(stream.shape[1] - 1, -1, -1)


def doubled_pixels(stream: Tensor) -> Tensor:
    for axis in range(2, stream.ndim):
        stream = stream.repeat_interleave(2, axis)
    return stream


def channel_index(stream: Tensor) -> Tensor:
    return backward(stream).reshape(-1, *[1] * (stream.ndim - 2)).expand(stream.shape)


def gathered(stream: Tensor) -> Tensor:
    return stream.gather(1, channel_index(stream))


def taken(stream: Tensor) -> Tensor:
    places = torch.arange(stream.numel()).reshape(stream.shape)
    return stream.take(places.flip(1))


def written(stream: Tensor) -> Tensor:
    """Into the second half of a copy."""
    places = torch.arange(stream.numel()).reshape(stream.shape)
    return torch.cat([stream, stream]).put(places + stream.numel(), stream)[len(stream) :]


def square(stream: Tensor) -> Tensor:
    return stream.new_zeros(stream.shape[1], stream.shape[1])


def marked(stream: Tensor) -> Tensor:
    mask = torch.arange(2) > 0
    both = torch.stack([stream, stream], -1)
    return both.masked_scatter(mask.expand(both.shape), stream)[..., 1]


def even(register: object) -> bool:
    return channels(register) and register.shape[0] % 2 == 0


def few_channels(register: object) -> bool:
    return channels(register) and few(register)


_WHOLE = {
    "view": lambda x: x.contiguous().view(len(x), -1).view(x.shape),
    "reshape": lambda x: x.reshape(x.shape[0], -1).reshape(x.shape),
    "_unsafe_view": lambda x: aten._unsafe_view(x.contiguous(), x.shape),
    "view_as": lambda x: x.reshape(-1).view_as(x),
    "reshape_as": lambda x: x.reshape(-1).reshape_as(x),
    "ravel": lambda x: x.ravel().reshape(x.shape),
    "unflatten": lambda x: x.unflatten(1, (1, -1)).squeeze(1),
    "squeeze": lambda x: x.unsqueeze(-1).squeeze(-1),
    "unsqueeze": lambda x: x.unsqueeze(1).squeeze(1),
    "movedim": lambda x: x.movedim(1, -1).movedim(-1, 1),
    "moveaxis": lambda x: x.moveaxis(1, 0).moveaxis(0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1).swapaxes(0, 1),
    "swapdims": lambda x: x.swapdims(0, 1).swapdims(0, 1),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 2, *x.shape[1:])[:, 1],
    "expand_as": lambda x: x.expand_as(x),
    "broadcast_to": lambda x: x.unsqueeze(0).broadcast_to(2, *x.shape)[0],
    "vstack": lambda x: torch.vstack([x, 0.3 * x])[len(x) :],
    "take": taken,
    "gather": gathered,
    "roll": lambda x: x.roll(1, 1),
    "flip": lambda x: x.flip(1),
    "split": lambda x: torch.cat(x.split(1, 1)[::-1], 1),
    "split_with_sizes": lambda x: torch.cat(x.split([1, x.shape[1] - 1], 1)[::-1], 1),
    "unbind": lambda x: torch.stack(x.unbind(1)[::-1], 1),
    "index_select": lambda x: x.index_select(1, backward(x)),
    "index": lambda x: x[:, backward(x)],
    "index_put": lambda x: aten.index_put(x, [None, backward(x)], x),
    "index_copy": lambda x: x.index_copy(1, backward(x), x),
    "scatter": lambda x: x.scatter(1, channel_index(x), x),
    "index_add": lambda x: torch.zeros_like(x).index_add(1, backward(x), x),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(1, channel_index(x), x),
    "scatter_reduce": lambda x: torch.zeros_like(x).scatter_reduce(1, channel_index(x), x, "sum"),
    "hsplit": lambda x: torch.cat(x.hsplit([1])[::-1], 1),
    "vsplit": lambda x: torch.vstack([x, x]).vsplit(2)[1],
    "unsafe_chunk": lambda x: torch.cat(torch.unsafe_chunk(x, 2, 1)[::-1], 1),
    "atleast_1d": torch.atleast_1d,
    "atleast_2d": torch.atleast_2d,
    "atleast_3d": lambda x: torch.atleast_3d(x).reshape(x.shape),
    "diag_embed": lambda x: x.diag_embed(1).diagonal(1, -2, -1),
    "put": written,
    "masked_scatter": marked,
    # Copies are one neuron to a linear layer: each channel is kept once.
    "repeat": lambda x: x.repeat(1, 2, *[1] * (x.ndim - 2))[:, 1 : x.shape[1] + 1],
    "tile": lambda x: x.tile(1, 2, *[1] * (x.ndim - 2))[:, 1 : x.shape[1] + 1],
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1)[:, 1::2],
}
"""For flattened pixels, too, as long as they come back to where they were."""

_MOVES_CHANNELS = {
    *("take", "gather", "roll", "flip", "split", "split_with_sizes", "unbind", "index_select"),
    *("index_put", "index_copy", "scatter", "index_add", "scatter_add", "scatter_reduce"),
    *("index", "repeat", "tile", "repeat_interleave", "hsplit", "unsafe_chunk"),
}

_WIDENED = {
    "hstack": lambda x: torch.hstack([x, 0.3 * x]),
    "column_stack": lambda x: torch.column_stack([x, 0.3 * x]),
    "stack": lambda x: torch.stack([x, 0.3 * x], 2).flatten(1, 2),
    "concat": lambda x: aten.concat([x, 0.3 * x], 1),
    "concatenate": lambda x: aten.concatenate([x, 0.3 * x], 1),
}

_NARROWED = {
    "slice": lambda x: x[:, 1:],
    "narrow": lambda x: x.narrow(1, 1, x.shape[1] - 1),
    "chunk": lambda x: x.chunk(2, 1)[0],
    "tensor_split": lambda x: x.tensor_split(2, 1)[1],
    "slice_scatter": lambda x: torch.slice_scatter(x, 0.3 * x[:, :-1], 1, 1),
    "select_scatter": lambda x: torch.select_scatter(x, 0.3 * x.select(1, -1), 1, 0),
}


def padded(name: str, n_axes: int) -> Operation:
    function = getattr(aten, name)

    def pad(stream: Tensor) -> Tensor:
        if n_axes == 3:
            return function(stream.unsqueeze(2), [0, 1, 0, 1, 0, 0]).squeeze(2)
        return function(stream, [0, 1] * n_axes)

    return Operation(pad, fits=wide_line if n_axes == 1 else wide_map)


MOVEMENT = {
    **{
        name: Operation(function, fits=many if name in _MOVES_CHANNELS else lambda _: True)
        for name, function in _WHOLE.items()
    },
    **{name: Operation(function, fits=few) for name, function in _WIDENED.items()},
    **{name: Operation(function, fits=many) for name, function in _NARROWED.items()},
    **{
        f"{kind}_pad{n_axes}d": padded(f"{kind}_pad{n_axes}d", n_axes)
        for kind in ("reflection", "replication")
        for n_axes in (1, 2, 3)
    },
    "cat": Operation(
        lambda x: torch.cat([x, torch.ones_like(x[:, :1]), 0.3 * x], 1),
        fits=lambda r: few(r) and no_image(r),
        adds_constants=True,
    ),
    "select": Operation(lambda x: torch.stack([x.select(1, -1), x.select(1, 0)], 1), fits=many),
    "flatten": Operation(lambda x: x.flatten(2), fits=channels),
    "permute": Operation(lambda x: x.permute(0, 1, 3, 2), fits=is_map),
    "transpose": Operation(lambda x: x.transpose(2, 3), fits=is_map),
    "mT": Operation(lambda x: x.mT, fits=is_map),
    "adjoint": Operation(lambda x: x.adjoint(), fits=is_map),
    "numpy_T": Operation(lambda x: x.T.T, fits=is_features),
    "t": Operation(lambda x: x.t().t(), fits=is_features),
    "rot90": Operation(lambda x: x.rot90(1, (2, 3)).rot90(-1, (2, 3)), fits=is_map),
    "dstack": Operation(lambda x: torch.dstack([x, 0.3 * x]), fits=channels),
    "diagonal": Operation(lambda x: x.diagonal(dim1=2, dim2=3), fits=is_map),
    "linalg_diagonal": Operation(torch.linalg.diagonal, fits=is_map),
    "diagonal_scatter": Operation(
        lambda x: torch.diagonal_scatter(x, 0.3 * x.diagonal(0, 2, 3), 0, 2, 3), fits=is_map
    ),
    "mH": Operation(lambda x: x.mH, fits=is_map),
    "matrix_H": Operation(lambda x: x.H.H, fits=is_features),
    "block_diag": Operation(
        lambda x: torch.block_diag(x, x)[: len(x), : x.shape[1]], fits=is_features
    ),
    "dsplit": Operation(lambda x: torch.cat(x.dsplit([1])[::-1], 2), fits=channels),
    "fill_diagonal": Operation(
        lambda x: torch.cat([square(x), x]).fill_diagonal_(3.0)[x.shape[1] :], fits=is_features
    ),
    "tril": Operation(torch.tril, fits=is_map),
    "triu": Operation(torch.triu, fits=is_map),
    "unfold": Operation(lambda x: x.unfold(2, 1, 1).squeeze(-1), fits=channels),
    "im2col": Operation(
        lambda x: functional.unfold(doubled_pixels(x), 2, stride=2)[:, 3::4],
        fits=lambda r: (is_map(r) and r.shape[0] <= 2) or four_channels(r),
    ),
    # Pixels of one channel hold four: a pool keeps strides from skipping any.
    "pixel_shuffle": Operation(
        lambda x: functional.avg_pool2d(functional.pixel_shuffle(x, 2), 2),
        fits=lambda r: four_channels(r) and no_image(r),
    ),
    "pixel_unshuffle": Operation(
        lambda x: functional.pixel_unshuffle(doubled_pixels(x), 2)[:, 3::4],
        fits=lambda r: small_map(r) and few_channels(r),
    ),
    "channel_shuffle": Operation(lambda x: aten.channel_shuffle(x, 2), fits=even),
    "pad": Operation(
        lambda x: functional.pad(x, [0, 1] * (x.ndim - 2), "reflect"),
        fits=lambda r: wide_line(r) or wide_map(r),
    ),
    "constant_pad_nd": Operation(lambda x: torch.constant_pad_nd(x, [0, 1], 3.0), fits=channels),
}
