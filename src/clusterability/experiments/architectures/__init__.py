"""Networks to trace, written from their papers.

VGG, ResNet, Inception-V3 and MobileNetV2 name their parameters as torchvision does, so that its
published state dicts load. ``divisor`` divides the number of channels of every layer.
"""

from clusterability.experiments.architectures.convnext import ConvNeXt
from clusterability.experiments.architectures.densenet import DenseNet, densenet121
from clusterability.experiments.architectures.inception import InceptionV3
from clusterability.experiments.architectures.mobilenet import MobileNetV2
from clusterability.experiments.architectures.preactivation_resnet import (
    preactivation_resnet18,
    preactivation_resnet34,
)
from clusterability.experiments.architectures.randomness import randomized
from clusterability.experiments.architectures.resnet import resnet18, resnet34, resnet50
from clusterability.experiments.architectures.shufflenet import ShuffleNetV2
from clusterability.experiments.architectures.squeeze_excitation import GatedResNet
from clusterability.experiments.architectures.unet import UNet
from clusterability.experiments.architectures.vgg import vgg16, vgg19

__all__ = [
    "ConvNeXt",
    "DenseNet",
    "GatedResNet",
    "InceptionV3",
    "MobileNetV2",
    "ShuffleNetV2",
    "UNet",
    "densenet121",
    "preactivation_resnet18",
    "preactivation_resnet34",
    "randomized",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg16",
    "vgg19",
]
