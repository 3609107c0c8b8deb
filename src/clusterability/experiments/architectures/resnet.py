"""ResNet-18, -34 and -50: He et al. (2016a), table 1, with projections where the shape changes.

In the bottleneck the 3 x 3 convolution has the stride, as published ImageNet weights have it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from clusterability.experiments.architectures.widths import narrow

CHANNELS = (64, 128, 256, 512)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Basic(nn.Module):
    expansion = 1

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.downsample = projection(n_in, n_inner, stride)

    def forward(self, stream: Tensor) -> Tensor:
        change = relu(self.bn1(self.conv1(stream)))
        change = self.bn2(self.conv2(change))
        kept = stream if self.downsample is None else self.downsample(stream)
        return relu(change + kept)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        n_out = n_inner * self.expansion
        self.conv1 = nn.Conv2d(n_in, n_inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.conv3 = nn.Conv2d(n_inner, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = projection(n_in, n_out, stride)

    def forward(self, stream: Tensor) -> Tensor:
        change = relu(self.bn1(self.conv1(stream)))
        change = relu(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(change))
        kept = stream if self.downsample is None else self.downsample(stream)
        return relu(change + kept)


def projection(n_in: int, n_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


class ResNet(nn.Module):
    def __init__(self, depth: int, divisor: int = 1, n_classes: int = 1000) -> None:
        super().__init__()
        block = Bottleneck if depth == 50 else Basic
        n_in = narrow(CHANNELS[0], divisor)
        self.conv1 = nn.Conv2d(3, n_in, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(n_in)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            n_inner = narrow(CHANNELS[stage], divisor)
            blocks = []
            for i in range(n_blocks):
                blocks.append(block(n_in, n_inner, stride=2 if stage and not i else 1))
                n_in = n_inner * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = self.maxpool(relu(self.bn1(self.conv1(image))))
        for stage in range(4):
            stream = self.get_submodule(f"layer{stage + 1}")(stream)
        return self.fc(stream.mean((2, 3)))


def resnet18(divisor: int = 1, n_classes: int = 1000) -> ResNet:
    return ResNet(18, divisor, n_classes)


def resnet34(divisor: int = 1, n_classes: int = 1000) -> ResNet:
    return ResNet(34, divisor, n_classes)


def resnet50(divisor: int = 1, n_classes: int = 1000) -> ResNet:
    return ResNet(50, divisor, n_classes)
