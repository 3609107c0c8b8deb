"""DenseNet with bottlenecks and compression (DenseNet-BC): Huang et al. (2017), table 1."""

from __future__ import annotations

from torch import Tensor, cat, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from clusterability.experiments.architectures.widths import narrow


class DenseLayer(nn.Module):
    def __init__(self, n_in: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, bottleneck, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck)
        self.conv2 = nn.Conv2d(bottleneck, growth, 3, padding=1, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        change = self.conv1(relu(self.norm1(stream)))
        return self.conv2(relu(self.norm2(change)))


class Transition(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(n_in)
        self.conv = nn.Conv2d(n_in, n_out, 1, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        return avg_pool2d(self.conv(relu(self.norm(stream))), 2)


class DenseNet(nn.Module):
    def __init__(
        self,
        layers: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        divisor: int = 1,
        n_classes: int = 1000,
    ) -> None:
        super().__init__()
        growth, n_channels = narrow(growth, divisor), narrow(2 * growth, divisor)
        self.conv0 = nn.Conv2d(3, n_channels, 7, stride=2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(n_channels)
        self.denseblocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        for i, n_layers in enumerate(layers):
            if i:
                self.transitions.append(Transition(n_channels, n_channels // 2))
                n_channels //= 2
            sizes = [n_channels + j * growth for j in range(n_layers)]
            self.denseblocks.append(
                nn.ModuleList(DenseLayer(size, growth, 4 * growth) for size in sizes)
            )
            n_channels += n_layers * growth
        self.norm5 = nn.BatchNorm2d(n_channels)
        self.classifier = nn.Linear(n_channels, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = max_pool2d(relu(self.norm0(self.conv0(image))), 3, stride=2, padding=1)
        for i, block in enumerate(self.denseblocks):
            if i:
                stream = self.transitions[i - 1](stream)
            for layer in block.children():
                stream = cat([stream, layer(stream)], dim=1)
        return self.classifier(relu(self.norm5(stream)).mean((2, 3)))


def densenet121(divisor: int = 1, n_classes: int = 1000) -> DenseNet:
    return DenseNet(divisor=divisor, n_classes=n_classes)
