"""The paper's networks, as plain modules (appendix A.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from clusterability.errors import InputError
from clusterability.training.networks import Builder, Shape


@torch.no_grad()
def glorot_uniform_(network: nn.Module, generator: np.random.Generator) -> None:
    """Draw all kernels from U(-l, l), l = sqrt(6 / (fan_in + fan_out)), and set biases to zero.

    The numbers are NumPy's, so that a seed means the same network in every version of torch.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            n_out, n_in, *window = module.weight.shape
            limit = (6 / ((n_in + n_out) * int(np.prod(window, dtype=int)))) ** 0.5
            drawn = generator.uniform(-limit, limit, tuple(module.weight.shape))
            module.weight.copy_(torch.from_numpy(drawn))
            if module.bias is not None:
                module.bias.zero_()


def set_dropout_rate(network: nn.Module, rate: float) -> None:
    """Let every dropout layer drop the same share, in place of the paper's rates.

    Raises:
        InputError: if there is no dropout layer.
    """
    layers = [module for module in network.modules() if isinstance(module, _DropoutNd)]
    if not layers:
        raise InputError(
            f"dropout_rate is {rate}, but the network has no torch.nn.Dropout layer; leave it out"
        )
    for layer in layers:
        layer.p = rate


def mlp(widths: Sequence[int]) -> Builder:
    """MLPs with hidden layers of these widths, ReLU, and dropout of 0.5 after each."""

    def build_mlp(shape: Shape, n_outputs: int, dropout: bool) -> nn.Sequential:
        modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        n_in = int(np.prod(shape))
        for i, width in enumerate(widths, 1):
            modules[f"fc{i}"] = nn.Linear(n_in, width)
            modules[f"relu{i}"] = nn.ReLU()
            if dropout:
                modules[f"dropout{i}"] = nn.Dropout(0.5)
            n_in = width
        modules[f"fc{len(widths) + 1}"] = nn.Linear(n_in, n_outputs)
        return nn.Sequential(modules)

    return build_mlp


wide_mlp, small_mlp = mlp([256] * 4), mlp([64] * 3)


def small_cnn(shape: Shape, n_outputs: int, dropout: bool) -> nn.Sequential:
    """Three 3 x 3 convolutions of 64 channels, 2 x 2 max-pools after the last two, dense 128.

    Dropout is 0.25 after each convolution (and its pool) and 0.5 after the dense layer.
    """
    n_in, height, width = _image(shape, 4)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for i in (1, 2, 3):
        modules[f"conv{i}"] = nn.Conv2d(n_in, 64, 3, padding=1)
        modules[f"relu{i}"] = nn.ReLU()
        if i > 1:
            modules[f"pool{i}"] = nn.MaxPool2d(2)
        if dropout:
            modules[f"dropout{i}"] = nn.Dropout(0.25)
        n_in = 64
    modules["flatten"] = nn.Flatten()
    modules["fc1"] = nn.Linear(64 * (height // 4) * (width // 4), 128)
    modules["relu4"] = nn.ReLU()
    if dropout:
        modules["dropout4"] = nn.Dropout(0.5)
    modules["fc2"] = nn.Linear(128, n_outputs)
    return nn.Sequential(modules)


VGG_FILTERS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG_POOLS = (2, 4, 7, 10, 13)
VGG_DROPOUT = (0.3, 0, 0.4, 0, 0.4, 0.4, 0, 0.4, 0.4, 0, 0.4, 0.4, 0.5)


def vgg(shape: Shape, n_outputs: int, dropout: bool) -> nn.Sequential:
    """The VGG-16 of Liu and Deng (2015) for small images, with their dropout for each layer.

    A block is convolution, ReLU, max-pool (after some), batch norm, dropout; Keras's batch norm
    has momentum 0.99, which is 0.01 here, and epsilon 0.001.
    """
    n_in, height, width = _image(shape, 2 ** len(VGG_POOLS))
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (filters, rate) in enumerate(zip(VGG_FILTERS, VGG_DROPOUT, strict=True), 1):
        modules[f"conv{i}"] = nn.Conv2d(n_in, filters, 3, padding=1)
        modules[f"relu{i}"] = nn.ReLU()
        if i in VGG_POOLS:
            modules[f"pool{i}"] = nn.MaxPool2d(2)
        modules[f"norm{i}"] = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        if dropout and rate:
            modules[f"dropout{i}"] = nn.Dropout(rate)
        n_in = filters
    modules["flatten"] = nn.Flatten()
    modules["fc1"] = nn.Linear(512 * (height // 32) * (width // 32), 512)
    modules["relu14"] = nn.ReLU()
    modules["norm14"] = nn.BatchNorm1d(512, eps=1e-3, momentum=0.01)
    if dropout:
        modules["dropout14"] = nn.Dropout(0.5)
    modules["fc2"] = nn.Linear(512, 512)
    modules["relu15"] = nn.ReLU()
    modules["fc3"] = nn.Linear(512, n_outputs)
    return nn.Sequential(modules)


def _image(shape: Shape, smallest: int) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise InputError(
            f"one input has shape {shape}, expected (channels, height, width) with at least "
            f"{smallest} pixels a side for this network's pools; train an MLP on it"
        )
    return shape[0], shape[1], shape[2]
