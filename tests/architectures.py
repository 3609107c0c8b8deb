"""Architectures by name: how to make them, full size or narrow, and their counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

import hand_counts
from clusterability.experiments import architectures as networks
from clusterability.experiments.architectures.densenet import DenseNet
from hand_counts import Operation

Counts = tuple[int, int, int, int]
"""Layers, neurons, blocks, strengths."""


@dataclass(frozen=True)
class Architecture:
    """A network's maker, the operations counted by hand, its input, and known counts.

    Attributes:
        bare: counts without the image and the dense part.
        whole: counts with both.
        make_narrow: makes the narrow version, where that is of fewer layers too.
    """

    make: Callable[..., nn.Module]
    operations: Callable[..., list[Operation]]
    input_shape: tuple[int, ...]
    narrow_shape: tuple[int, ...]
    bare: Counts
    whole: Counts
    make_narrow: Callable[..., nn.Module] | None = None

    def narrow(self) -> nn.Module:
        make = self.make_narrow or self.make
        return networks.randomized(make(divisor=16, n_classes=7))

    def narrow_image(self) -> Tensor:
        return torch.zeros(1, *self.narrow_shape, dtype=torch.float64)

    def full(self) -> nn.Module:
        """Full size; all weights alike, for drawing that many takes time."""
        with torch.device("meta"):
            model = self.make()
        model.to_empty(device="cpu")
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.detach().fill_(1)
        return model.eval()


IMAGE, SMALL = (3, 224, 224), (3, 32, 32)


def resnet(
    make: Callable[..., nn.Module], depth: int, bare: Counts, whole: Counts, first: bool = False
) -> Architecture:
    operations = partial(hand_counts.resnet_operations, depth, always_projects=first)
    return Architecture(make, operations, IMAGE, SMALL, bare, whole)


def vgg(make: Callable[..., nn.Module], depth: int, bare: Counts, whole: Counts) -> Architecture:
    operations = partial(hand_counts.vgg_operations, depth)
    return Architecture(make, operations, IMAGE, SMALL, bare, whole)


ARCHITECTURES = {
    "VGG-16": vgg(networks.vgg16, 16, (13, 4224, 12, 1_634_304), (17, 13419, 16, 24_604_864)),
    "VGG-19": vgg(networks.vgg19, 19, (16, 5504, 15, 2_224_128), (20, 14699, 19, 25_194_688)),
    # Published: 39 and 93 blocks. Ours of the original arrangement, with image and dense part:
    "ResNet-18": resnet(
        networks.resnet18, 18, (20, 4352, 34, 2_125_824), (22, 5355, 39, 2_638_592)
    ),
    "ResNet-34": resnet(
        networks.resnet34, 34, (36, 8064, 87, 5_357_568), (38, 9067, 93, 5_870_528)
    ),
    "ResNet-50": resnet(
        networks.resnet50, 50, (53, 24576, 107, 30_703_616), (55, 25579, 110, 32_752_000)
    ),
    # The networks that the published numbers come from: 37 + 2 and 91 + 2 blocks with the image.
    "pre-activation ResNet-18": resnet(
        networks.preactivation_resnet18,
        18,
        (21, 4416, 37, 2_138_112),
        (23, 5419, 40, 2_650_496),
        first=True,
    ),
    "pre-activation ResNet-34": resnet(
        networks.preactivation_resnet34,
        34,
        (37, 8128, 91, 5_373_952),
        (39, 9131, 94, 5_886_336),
        first=True,
    ),
    "MobileNetV2": Architecture(
        networks.MobileNetV2,
        hand_counts.mobilenet_operations,
        IMAGE,
        SMALL,
        (52, 17056, 67, 7_232_128),
        (54, 18059, 69, 8_512_224),
    ),
    "DenseNet-121": Architecture(
        networks.densenet121,
        hand_counts.densenet_operations,
        IMAGE,
        SMALL,
        (655, 41760, 1911, 18_841_600),
        (657, 42763, 1935, 19_866_944),
        partial(DenseNet, layers=(3, 5, 3, 2)),
    ),
    "U-Net": Architecture(
        networks.UNet,
        hand_counts.unet_operations,
        (1, 64, 64),
        (1, 16, 16),
        (27, 7810, 30, 4_182_144),
        (28, 7811, 31, 4_182_208),
    ),
    "Inception-V3": Architecture(
        networks.InceptionV3,
        hand_counts.inception_operations,
        (3, 299, 299),
        (3, 80, 80),
        (231, 42272, 555, 21_228_032),
        (233, 43275, 562, 23_276_128),
    ),
}

BLOCKS = {
    "ShuffleNetV2": (networks.ShuffleNetV2, (3, 16, 16)),
    "gated ResNet": (networks.GatedResNet, (3, 8, 8)),
    "ConvNeXt": (networks.ConvNeXt, (3, 8, 8)),
}
"""Small networks of blocks that the above lack; without counts."""
