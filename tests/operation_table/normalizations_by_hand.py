"""Normalizations written out as sums, products and quotients with statistics of the neurons.

Each is a function of features (batch, n), or of images (batch, channels, height, width), and of
one factor for each neuron; beside it stands the same function, or one that scales by the data
alike, by its name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from operation_table.elementwise import along_channels
from operation_table.entry import Operation, hidden_features, is_map
from operation_table.normalizing import one_scale
from step_modules import Register

Function = Callable[[Tensor, Tensor], Tensor]


def layer_norm(x: Tensor, g: Tensor) -> Tensor:
    return functional.layer_norm(x, g.shape, g)


def rms_norm(x: Tensor, g: Tensor) -> Tensor:
    return functional.rms_norm(x, g.shape, g)


def softmax(x: Tensor, g: Tensor) -> Tensor:
    return x.softmax(-1) * g


def scaled(x: Tensor, g: Tensor) -> Tensor:
    return x * along_channels(g, x)


def by_one_factor(x: Tensor, g: Tensor) -> Tensor:
    """As in Keras, with one factor for both and a shift."""
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    factor = torch.rsqrt(variance + 1e-5) * g
    return x * factor - mean * factor


def centered(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def by_moments(x: Tensor, g: Tensor) -> Tensor:
    variance = x.square().mean(-1, keepdim=True) - x.mean(-1, keepdim=True).square()
    return g * (x - x.mean(-1, keepdim=True)) * torch.rsqrt(variance + 1e-5)


def by_both_moments(x: Tensor, g: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * g


def by_shifted_exponentials(x: Tensor, g: Tensor) -> Tensor:
    e = (x - x.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True) * g


def to_unit_interval(x: Tensor, g: Tensor) -> Tensor:
    low, high = x.aminmax(dim=-1, keepdim=True)
    return (x - low) / (high - low) * g


def without_a_kept_axis(x: Tensor, g: Tensor) -> Tensor:
    return (x.movedim(-1, 0) / (1 + x.square().sum(-1)).sqrt()).movedim(0, -1) * g


FEATURES: dict[str, tuple[Function, Function]] = {
    "functional.normalize": (lambda x, g: functional.normalize(x, dim=-1) * g, rms_norm),
    "normalize times root of n": (
        lambda x, g: functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * g,
        rms_norm,
    ),
    "root mean square": (
        lambda x, g: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * g,
        rms_norm,
    ),
    "centered over deviation": (
        lambda x, g: centered(x) / (centered(x).pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * g,
        layer_norm,
    ),
    "moments": (by_moments, layer_norm),
    "one factor": (by_one_factor, layer_norm),
    "weight times a root": (
        lambda x, g: g * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * x,
        rms_norm,
    ),
    "weight over a root": (
        lambda x, g: x * (g / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()),
        rms_norm,
    ),
    "var_mean": (by_both_moments, layer_norm),
    "standard deviation": (
        lambda x, g: g * centered(x) / (x.std(-1, correction=0, keepdim=True) + 1e-5),
        layer_norm,
    ),
    "exponentials over their sum": (
        lambda x, g: x.exp() / x.exp().sum(-1, keepdim=True) * g,
        softmax,
    ),
    "shifted exponentials": (by_shifted_exponentials, softmax),
    "minus logsumexp": (
        lambda x, g: (x - x.logsumexp(-1, keepdim=True)) * g,
        lambda x, g: x.log_softmax(-1) * g,
    ),
    "over the largest": (
        lambda x, g: x / x.abs().amax(-1, keepdim=True) * g,
        rms_norm,
    ),
    "to 0 and 1": (to_unit_interval, layer_norm),
    "over a sum without the axis": (without_a_kept_axis, rms_norm),
}


def channel_norm(x: Tensor, g: Tensor) -> Tensor:
    return functional.group_norm(x, 1, g)


def layer_norm_2d(x: Tensor, g: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    return g[:, None, None] * (x - mean) / torch.sqrt(variance + 1e-6)


def pixel_norm(x: Tensor, g: Tensor) -> Tensor:
    return scaled(x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8), g)


def by_one_factor_of_channels(x: Tensor, g: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, (1, 2, 3), correction=0, keepdim=True)
    factor = torch.rsqrt(variance + 1e-5) * along_channels(g, x)
    return x * factor + (0.5 - mean * factor)


def in_groups(x: Tensor, g: Tensor) -> Tensor:
    groups = x.reshape(len(x), 1, -1, *x.shape[1:])
    mean = groups.mean((2, 3, 4), keepdim=True)
    deviation = (groups.var((2, 3, 4), keepdim=True) + 1e-5).sqrt()
    return scaled(((groups - mean) / deviation).reshape(x.shape), g)


def response_norm(x: Tensor, g: Tensor) -> Tensor:
    """As in ConvNeXt V2, without its skip."""
    norms = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
    return scaled(x * (norms / (norms.mean(1, keepdim=True) + 1e-6)), g)


def response_norm_and_skip(x: Tensor, g: Tensor) -> Tensor:
    """As in ConvNeXt V2."""
    return response_norm(x, g) + 0.5 + x


def instance_norm(x: Tensor, g: Tensor) -> Tensor:
    deviation = (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return scaled((x - x.mean((2, 3), keepdim=True)) / deviation, g)


def over_windows(x: Tensor, g: Tensor, windows: Tensor) -> Tensor:
    return scaled(x / (1 + windows / 3) ** 0.75, g)


def by_shifts(x: Tensor, g: Tensor) -> Tensor:
    squares, n = functional.pad(x.square(), (0, 0, 0, 0, 1, 1)), x.shape[1]
    return over_windows(x, g, squares[:, :n] + squares[:, 1 : n + 1] + squares[:, 2:])


def by_parts(x: Tensor, g: Tensor) -> Tensor:
    squares = x.square()
    nothing = torch.zeros_like(squares[:, :1])
    above = torch.cat([squares[:, 1:], nothing], 1)
    below = torch.cat([nothing, squares[:, :-1]], 1)
    return over_windows(x, g, above + squares + below)


def by_rolls(x: Tensor, g: Tensor) -> Tensor:
    squares = x.square()
    return over_windows(x, g, squares + squares.roll(1, 1) + squares.roll(-1, 1))


def by_unfolding(x: Tensor, g: Tensor) -> Tensor:
    squares = functional.pad(x.square(), (0, 0, 0, 0, 1, 1))
    return over_windows(x, g, squares.unfold(1, 3, 1).sum(-1))


def by_pooling(x: Tensor, g: Tensor) -> Tensor:
    means = functional.avg_pool3d(x.square().unsqueeze(1), (3, 1, 1), 1, (1, 0, 0))
    return over_windows(x, g, 3 * means.squeeze(1))


MAPS: dict[str, tuple[Function, Function]] = {
    "layer norm of channels": (layer_norm_2d, channel_norm),
    "pixel norm": (pixel_norm, channel_norm),
    "group norm": (in_groups, channel_norm),
    "one factor of channels": (by_one_factor_of_channels, channel_norm),
    "response norm": (response_norm, channel_norm),
    "response norm and skip": (
        response_norm_and_skip,
        lambda x, g: channel_norm(x, g) + x,
    ),
    "instance norm": (instance_norm, lambda x, g: scaled(functional.instance_norm(x), g)),
    "instance norm and skip": (
        lambda x, g: instance_norm(x, g) + x,
        lambda x, g: scaled(functional.instance_norm(x), g) + x,
    ),
    "windows by shifts": (by_shifts, channel_norm),
    "windows by parts": (by_parts, channel_norm),
    "windows by rolls": (by_rolls, channel_norm),
    "windows by unfolding": (by_unfolding, channel_norm),
    "windows by pooling": (by_pooling, channel_norm),
    "local response norm": (
        lambda x, g: scaled(functional.local_response_norm(x, 3), g),
        channel_norm,
    ),
    "unit channels": (lambda x, g: scaled(functional.normalize(x), g), channel_norm),
    "unit images": (
        lambda x, g: scaled(functional.normalize(x.flatten(1)).view(x.shape), g),
        channel_norm,
    ),
}


def hidden_map(register: Register) -> bool:
    return is_map(register) and register.image == "none"


NORMALIZATIONS_BY_HAND = {
    **{name: Operation(f, scaled, hidden_features, one_scale) for name, (f, _) in FEATURES.items()},
    **{name: Operation(f, scaled, hidden_map, one_scale) for name, (f, _) in MAPS.items()},
}
"""In the perturbation only their own factors count, not those of the data."""
