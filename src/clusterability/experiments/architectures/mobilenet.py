"""MobileNetV2: Sandler et al. (2018), table 2."""

from __future__ import annotations

from torch import Tensor, nn

from clusterability.experiments.architectures.widths import narrow

STAGES = (
    # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM, LAST = 32, 1280


def normed(n_in: int, n_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    padding = (size - 1) // 2
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_inner = n_in * expansion
        steps: list[nn.Module] = [normed(n_in, n_inner, 1)] if expansion > 1 else []
        steps += [
            normed(n_inner, n_inner, stride=stride, groups=n_inner),
            nn.Conv2d(n_inner, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        ]
        self.conv = nn.Sequential(*steps)
        self.skips = stride == 1 and n_in == n_out

    def forward(self, stream: Tensor) -> Tensor:
        return stream + self.conv(stream) if self.skips else self.conv(stream)


class MobileNetV2(nn.Module):
    def __init__(self, divisor: int = 1, n_classes: int = 1000) -> None:
        super().__init__()
        n_in = narrow(STEM, divisor)
        steps: list[nn.Module] = [normed(3, n_in, stride=2)]
        for expansion, n_full, n_blocks, first_stride in STAGES:
            n_out = narrow(n_full, divisor)
            for i in range(n_blocks):
                stride = 1 if i else first_stride
                steps.append(InvertedResidual(n_in, n_out, stride, expansion))
                n_in = n_out
        n_last = narrow(LAST, divisor)
        steps.append(normed(n_in, n_last, 1))
        self.features = nn.Sequential(*steps)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(n_last, n_classes))

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.features(image).mean((2, 3)))
