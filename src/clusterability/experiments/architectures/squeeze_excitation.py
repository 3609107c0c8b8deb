"""A residual network with squeeze-and-excitation gates: Hu, Shen and Sun (2018), section 3."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu


class GatedBlock(nn.Module):
    def __init__(self, n_channels: int, n_squeezed: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(n_channels)
        self.squeeze = nn.Linear(n_channels, n_squeezed)
        self.excite = nn.Linear(n_squeezed, n_channels)

    def forward(self, stream: Tensor) -> Tensor:
        change = self.bn(self.conv(stream))
        gate = self.excite(relu(self.squeeze(change.mean((2, 3))))).sigmoid()
        return relu(stream + change * gate[:, :, None, None])


class GatedResNet(nn.Module):
    def __init__(
        self, n_channels: int = 6, n_squeezed: int = 3, n_blocks: int = 2, n_classes: int = 4
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, n_channels, 3, padding=1)
        self.blocks = nn.Sequential(*(GatedBlock(n_channels, n_squeezed) for _ in range(n_blocks)))
        self.last = nn.Conv2d(n_channels, n_channels, 1)
        self.fc = nn.Linear(n_channels, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = self.last(self.blocks(self.stem(image)))
        return self.fc(stream.mean((2, 3)))
