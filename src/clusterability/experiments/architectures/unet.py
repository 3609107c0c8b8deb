"""U-Net: Ronneberger, Fischer and Brox (2015), figure 1, with padded convolutions."""

from __future__ import annotations

from torch import Tensor, cat, nn
from torch.nn.functional import max_pool2d

from clusterability.experiments.architectures.widths import narrow

CHANNELS = (64, 128, 256, 512, 1024)


def double(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self, divisor: int = 1, n_in: int = 1, n_classes: int = 2) -> None:
        super().__init__()
        sizes = [narrow(n_channels, divisor) for n_channels in CHANNELS]
        self.down = nn.ModuleList(
            double(below, above) for below, above in zip([n_in, *sizes], sizes, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(above, below, 2, stride=2)
            for below, above in zip(sizes, sizes[1:], strict=False)
        )
        self.merge = nn.ModuleList(double(2 * below, below) for below in sizes[:-1])
        self.last = nn.Conv2d(sizes[0], n_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        kept: list[Tensor] = []
        stream = image
        for level, step in enumerate(self.down):
            stream = step(max_pool2d(stream, 2) if level else stream)
            kept.append(stream)
        for level in reversed(range(len(self.up))):
            stream = cat([kept[level], self.up[level](stream)], dim=1)
            stream = self.merge[level](stream)
        return self.last(stream)
