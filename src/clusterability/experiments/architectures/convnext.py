"""ConvNeXt blocks, without their layer norm: Liu et al. (2022), figure 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvNeXtBlock(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_channels, n_channels, 7, padding=3, groups=n_channels)
        self.wide = nn.Linear(n_channels, 4 * n_channels)
        self.activation = nn.GELU()
        self.narrow = nn.Linear(4 * n_channels, n_channels)
        self.scale = nn.Parameter(torch.linspace(-1.0, 2.0, n_channels))

    def forward(self, stream: Tensor) -> Tensor:
        change = self.depthwise(stream).permute(0, 2, 3, 1)
        change = self.narrow(self.activation(self.wide(change)))
        return stream + (self.scale * change).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, channels: tuple[int, ...] = (3, 5), n_blocks: int = 2, n_classes: int = 4):
        super().__init__()
        steps: list[nn.Module] = []
        for n_in, n_out in zip((3, *channels), channels, strict=False):
            steps.append(nn.Conv2d(n_in, n_out, 2, stride=2))
            steps += [ConvNeXtBlock(n_out) for _ in range(n_blocks)]
        self.features = nn.Sequential(*steps)
        self.head = nn.Linear(channels[-1], n_classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).mean((2, 3)))
