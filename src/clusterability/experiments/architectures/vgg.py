"""VGG-16 and VGG-19: configurations D and E of Simonyan and Zisserman (2015), table 1."""

from __future__ import annotations

from torch import Tensor, nn

from clusterability.experiments.architectures.widths import narrow

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions a stage; each stage ends in a max-pool."""


class VGG(nn.Module):
    def __init__(self, depth: int, divisor: int = 1, n_classes: int = 1000) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        n_in = 3
        for n_convolutions, n_full in zip(CONVOLUTIONS[depth], CHANNELS, strict=True):
            n_out = narrow(n_full, divisor)
            for _ in range(n_convolutions):
                steps += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
                n_in = n_out
            steps.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*steps)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        n_dense = narrow(4096, divisor)
        self.classifier = nn.Sequential(
            nn.Linear(n_in * 7 * 7, n_dense),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(n_dense, n_dense),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(n_dense, n_classes),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(image)).flatten(1))


def vgg16(divisor: int = 1, n_classes: int = 1000) -> VGG:
    return VGG(16, divisor, n_classes)


def vgg19(divisor: int = 1, n_classes: int = 1000) -> VGG:
    return VGG(19, divisor, n_classes)
