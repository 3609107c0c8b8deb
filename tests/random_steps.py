"""Steps of random feed-forward networks: each a small module, made for the shape that it reads.

A step that is not linear has a linear stand-in, a multiplication by some constant or an average,
which lets the same neurons influence each other and never saturates.

The first pixel of a channel always holds data, never padding alone, so that no stride skips it all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from step_modules import Apply, ChannelsLast, DenseToImage, Register, Scale, SqueezeExcite

Draw = Callable[[st.SearchStrategy], int]
Step = tuple[nn.Module, Register]
"""A module and what its output is, the shape aside, which running it tells."""

ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "elu": functional.elu,
    "leaky_relu": functional.leaky_relu,
    "softplus": functional.softplus,
    "hardswish": functional.hardswish,
}


def small(draw: Draw, low: int = 1, high: int = 4) -> int:
    return draw(st.integers(low, high))


def output_of(register: Register) -> Register:
    """Channels that a weight produces."""
    return Register(register.shape)


def features(register: Register, n: int) -> Register:
    return replace(register, pixels=(1,) * n)


def linear(draw: Draw, register: Register) -> Step:
    module = nn.Linear(register.shape[0], n_out := small(draw))
    module.neuron_pixels = register.pixels
    return module, features(output_of(register), n_out)


def conv(draw: Draw, register: Register) -> Step:
    kind = nn.Conv2d if register.is_map else nn.Conv1d
    size = small(draw, 1, min(3, *register.shape[1:]))
    options = {"stride": small(draw, 1, 2), "padding": small(draw, 0, 1) if size > 1 else 0}
    return kind(register.shape[0], small(draw), size, **options), output_of(register)


def depthwise(_draw: Draw, register: Register) -> Step:
    n = register.shape[0]
    return nn.Conv2d(n, n, 1, groups=n), output_of(register)


def grouped_conv(draw: Draw, register: Register) -> Step:
    kind = nn.Conv2d if register.is_map else nn.Conv1d
    groups = n_groups(draw, register)
    n_out = groups * small(draw, 1, 2)
    return kind(register.shape[0], n_out, 1, groups=groups), output_of(register)


def depthwise_conv(draw: Draw, register: Register) -> Step:
    kind = nn.Conv2d if register.is_map else nn.Conv1d
    n = register.shape[0]
    n_out = n * small(draw, 1, 2)
    return kind(n, n_out, 3, padding=2, dilation=2, groups=n), output_of(register)


def transposed_conv(draw: Draw, register: Register) -> Step:
    kind = nn.ConvTranspose2d if register.is_map else nn.ConvTranspose1d
    groups = draw(st.sampled_from((1, n_groups(draw, register))))
    module = kind(register.shape[0], groups * small(draw, 1, 2), 2, stride=2, groups=groups)
    return module, output_of(register)


def n_groups(draw: Draw, register: Register) -> int:
    n = register.shape[0]
    return draw(st.sampled_from([g for g in range(1, n + 1) if n % g == 0][-2:]))


def channels_last_linear(draw: Draw, register: Register) -> Step:
    return ChannelsLast(register.shape[0], small(draw)), output_of(register)


def squeeze_excite(_draw: Draw, register: Register) -> Step:
    return SqueezeExcite(register.shape[0], len(register.shape) - 1), register


def dense_to_image(draw: Draw, register: Register) -> Step:
    module = DenseToImage(register.shape[0], small(draw, 1, 3))
    module.weight.neuron_pixels = register.pixels
    return module, Register(register.shape)


def batch_norm(draw: Draw, register: Register) -> Step:
    kind = nn.BatchNorm2d if register.is_map else nn.BatchNorm1d
    return kind(register.shape[0], affine=draw(st.booleans())), register


def layer_scale(_draw: Draw, register: Register) -> Step:
    return Scale(register), register


def activation(draw: Draw, register: Register) -> Step:
    name = draw(st.sampled_from(sorted(ACTIVATIONS)))
    return Apply(name, ACTIVATIONS[name], lambda x: 1.1 * x), register


def dropout(_draw: Draw, register: Register) -> Step:
    return nn.Dropout(0.5), register


def max_pool(_draw: Draw, register: Register) -> Step:
    if register.is_map:
        functions = (functional.max_pool2d, functional.avg_pool2d)
    else:
        functions = (functional.max_pool1d, functional.avg_pool1d)
    size = min(2, *register.shape[1:])
    most, mean = (lambda x, f=f: f(x, size) for f in functions)
    return Apply("max_pool", most, mean), register


def avg_pool(_draw: Draw, register: Register) -> Step:
    kind = nn.AvgPool2d if register.is_map else nn.AvgPool1d
    return kind(min(2, *register.shape[1:]), stride=1), register


def adaptive_pool(draw: Draw, register: Register) -> Step:
    kind = nn.AdaptiveAvgPool2d if register.is_map else nn.AdaptiveAvgPool1d
    return kind(small(draw, 1, 3)), register


def upsample(draw: Draw, register: Register) -> Step:
    mode = draw(st.sampled_from(("nearest", "bilinear" if register.is_map else "linear")))
    return nn.Upsample(scale_factor=2, mode=mode), register


def pad(draw: Draw, register: Register) -> Step:
    mode = draw(st.sampled_from(("constant", "replicate")))
    sides = [0, 1] * (len(register.shape) - 1)
    return Apply(f"pad {mode}", lambda x: functional.pad(x, sides, mode)), register


def crop(_draw: Draw, register: Register) -> Step:
    return Apply("crop", lambda x: x[..., :-1]), register


def transpose(_draw: Draw, register: Register) -> Step:
    return Apply("transpose", lambda x: x.transpose(-1, -2)), register


def fold_pixels(_draw: Draw, register: Register) -> Step:
    return Apply("fold_pixels", lambda x: x.reshape(*x.shape[:2], -1)), register


def unfold_pixels(_draw: Draw, register: Register) -> Step:
    return Apply("unfold_pixels", lambda x: x.unsqueeze(2)), register


def flatten(_draw: Draw, register: Register) -> Step:
    pixels = (register.n_pixels,) * register.shape[0]
    return nn.Flatten(), replace(register, pixels=pixels)


def spatial_mean(_draw: Draw, register: Register) -> Step:
    axes = tuple(range(2, len(register.shape) + 1))
    return Apply("mean", lambda x: x.mean(axes)), features(register, register.shape[0])


def channel_mean(_draw: Draw, register: Register) -> Step:
    return Apply("channel_mean", lambda x: x.mean(1, keepdim=True)), register


def chunk(draw: Draw, register: Register) -> Step:
    part = small(draw, 0, 1)
    n = -(-register.shape[0] // 2) if part == 0 else register.shape[0] // 2
    register = register if register.has_channels else features(register, n)
    return Apply(f"chunk {part}", lambda x: x.chunk(2, 1)[part]), register


def split(draw: Draw, register: Register) -> Step:
    """Channels are cut into two unequal parts, which change places."""
    n = register.shape[0]
    at = small(draw, 1, n - 1)

    def exchanged(stream: Tensor) -> Tensor:
        first, second = stream.split([at, n - at], dim=1)
        return torch.cat([second, first], dim=1)

    return Apply(f"split at {at}", exchanged), register


def channel_slice(_draw: Draw, register: Register) -> Step:
    n = register.shape[0] - 1
    register = register if register.has_channels else features(register, n)
    return Apply("channel_slice", lambda x: x[:, 1:]), register


def channel_shuffle(_draw: Draw, register: Register) -> Step:
    n = register.shape[0]

    def shuffled(stream: Tensor) -> Tensor:
        parts = stream.reshape(stream.shape[0], 2, n // 2, *stream.shape[2:])
        return parts.transpose(1, 2).reshape(stream.shape)

    return Apply("channel_shuffle", shuffled), register


def add(_draw: Draw, first: Register, _second: Register) -> Step:
    return Apply("add", lambda x, y: x + y), first


def subtract(_draw: Draw, first: Register, _second: Register) -> Step:
    # Not x - y: if both are the same tensor, the strength is there and the influence is not.
    return Apply("subtract", lambda x, y: x - 0.7 * y), first


def gate(_draw: Draw, first: Register, _second: Register) -> Step:
    sigmoid = Apply("gate", lambda x, y: x * y.sigmoid(), lambda x, y: x * (1.7 * y))
    return sigmoid, first


def concatenate(_draw: Draw, first: Register, second: Register) -> Step:
    image = first.image if first.image == second.image else "some"
    register = replace(first, image=image, pixels=first.pixels + second.pixels)
    return Apply("concatenate", lambda x, y: torch.cat([x, y], 1)), register


def pixel_norm(draw: Draw, register: Register) -> Step:
    """Every pixel of a channel is scaled by itself, and so is a neuron from here on."""
    n = register.shape[0]
    norm = nn.BatchNorm1d(n)
    if draw(st.booleans()):
        norm = Apply(
            "layer_norm",
            lambda x, gamma: functional.layer_norm(x, gamma.shape, gamma),
            lambda x, gamma: x * gamma,
            (n,),
        )
    return norm, features(register, n)


def add_image(_draw: Draw, first: Register, _second: Register) -> Step:
    return Apply("add image", lambda x, y: x + 1.2 * y), replace(first, image="some")


def constant_channels(draw: Draw, register: Register) -> Step:
    n = small(draw, 1, 2)

    def with_constants(stream: Tensor) -> Tensor:
        constant = torch.ones_like(stream[:, :1]).expand(-1, n, *stream.shape[2:])
        return torch.cat([constant, stream], 1)

    wider = replace(register, image="some", pixels=(1,) * n + register.pixels)
    return Apply("constant_channels", with_constants), wider
