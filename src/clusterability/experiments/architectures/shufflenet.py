"""ShuffleNetV2 blocks: Ma et al. (2018), figure 3 c and d."""

from __future__ import annotations

from torch import Tensor, cat, nn
from torch.nn.functional import relu


def pointwise(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def depthwise(n: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(n, n, 3, stride, padding=1, groups=n, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n))


def shuffled(stream: Tensor, n_groups: int = 2) -> Tensor:
    """Channels dealt out anew: the groups' first ones, then their second ones, and so on."""
    batch, n_channels, height, width = stream.shape
    grouped = stream.view(batch, n_groups, n_channels // n_groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, n_channels, height, width)


class SplitBlock(nn.Module):
    """Half of the channels are kept, the other half changed."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        half = n_channels // 2
        self.branch = nn.Sequential(
            pointwise(half, half), depthwise(half, 1), pointwise(half, half)
        )

    def forward(self, stream: Tensor) -> Tensor:
        kept, changed = stream.chunk(2, dim=1)
        return shuffled(cat([kept, self.branch(changed)], dim=1))


class DownBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        half = n_out // 2
        self.short = nn.Sequential(depthwise(n_in, 2), pointwise(n_in, half))
        self.long = nn.Sequential(pointwise(n_in, half), depthwise(half, 2), pointwise(half, half))

    def forward(self, stream: Tensor) -> Tensor:
        return shuffled(cat([self.short(stream), self.long(stream)], dim=1))


class ShuffleNetV2(nn.Module):
    def __init__(
        self,
        channels: tuple[int, ...] = (4, 8, 12),
        blocks: tuple[int, ...] = (2, 1),
        n_last: int = 10,
        n_classes: int = 5,
    ) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for n_in, n_out, n_blocks in zip(channels, channels[1:], blocks, strict=False):
            steps += [DownBlock(n_in, n_out), *(SplitBlock(n_out) for _ in range(n_blocks))]
        self.stem = nn.Conv2d(3, channels[0], 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels[0])
        self.blocks = nn.Sequential(*steps)
        self.last = pointwise(channels[-1], n_last)
        self.fc = nn.Linear(n_last, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = self.blocks(relu(self.bn(self.stem(image))))
        return self.fc(self.last(stream).mean((2, 3)))
