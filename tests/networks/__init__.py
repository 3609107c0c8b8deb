"""Networks to trace, written from their papers.

VGG, ResNet, Inception-V3 and MobileNetV2 name their parameters as torchvision does, so that its
published state dicts load. ``divisor`` divides the number of channels of every layer.
"""

from networks.convnext import ConvNeXt
from networks.densenet import DenseNet, densenet121
from networks.inception import InceptionV3
from networks.mobilenet import MobileNetV2
from networks.preactivation_resnet import preactivation_resnet18, preactivation_resnet34
from networks.randomness import randomized
from networks.resnet import resnet18, resnet34, resnet50
from networks.shufflenet import ShuffleNetV2
from networks.squeeze_excitation import GatedResNet
from networks.unet import UNet
from networks.vgg import vgg16, vgg19

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
