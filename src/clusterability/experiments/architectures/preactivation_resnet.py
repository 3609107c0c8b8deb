"""Pre-activation ResNets whose every stage, the first too, begins with a projection.

He et al. (2016), "Identity mappings in deep residual networks", in the arrangement of the Keras
package image-classifiers 1.0.0, from which the published numbers of Filan et al. (2021) come: the
projection reads what the first convolution of the stage reads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from clusterability.experiments.architectures.resnet import BLOCKS, CHANNELS
from clusterability.experiments.architectures.widths import narrow


class PreactivationBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, projects: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.projection = nn.Conv2d(n_in, n_out, 1, stride, bias=False) if projects else None

    def forward(self, stream: Tensor) -> Tensor:
        active = relu(self.bn1(stream))
        kept = stream if self.projection is None else self.projection(active)
        return kept + self.conv2(relu(self.bn2(self.conv1(active))))


class PreactivationResNet(nn.Module):
    def __init__(self, depth: int, divisor: int = 1, n_classes: int = 1000) -> None:
        super().__init__()
        n_in = narrow(CHANNELS[0], divisor)
        self.bn_data = nn.BatchNorm2d(3)
        self.conv0 = nn.Conv2d(3, n_in, 7, stride=2, padding=3, bias=False)
        self.bn0 = nn.BatchNorm2d(n_in)
        blocks = []
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            n_out = narrow(CHANNELS[stage], divisor)
            for i in range(n_blocks):
                stride = 2 if stage and not i else 1
                blocks.append(PreactivationBlock(n_in, n_out, stride, projects=not i))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.bn1 = nn.BatchNorm2d(n_in)
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = relu(self.bn0(self.conv0(self.bn_data(image))))
        stream = self.blocks(max_pool2d(stream, 3, stride=2, padding=1))
        return self.fc(relu(self.bn1(stream)).mean((2, 3)))


def preactivation_resnet18(divisor: int = 1, n_classes: int = 1000) -> PreactivationResNet:
    return PreactivationResNet(18, divisor, n_classes)


def preactivation_resnet34(divisor: int = 1, n_classes: int = 1000) -> PreactivationResNet:
    return PreactivationResNet(34, divisor, n_classes)
