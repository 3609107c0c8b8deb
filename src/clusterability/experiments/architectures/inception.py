"""Inception-V3: Szegedy et al. (2016), table 1, with the widths of the published weights."""

from __future__ import annotations

from torch import Tensor, cat, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, max_pool2d, relu

from clusterability.experiments.architectures.widths import narrow


class Normed(nn.Module):
    """Convolution, batch norm, ReLU; padded so that stride 1 keeps the size unless told."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        sizes = (size, size) if isinstance(size, int) else size
        same = ((sizes[0] - 1) // 2, (sizes[1] - 1) // 2)
        padding = same if padding is None else padding
        self.conv = nn.Conv2d(n_in, n_out, sizes, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, stream: Tensor) -> Tensor:
        return relu(self.bn(self.conv(stream)))


class Mixed35(nn.Module):
    """Mixed_5b to 5d: figure 5 of the paper."""

    def __init__(self, n_in: int, n_pooled: int, divisor: int) -> None:
        super().__init__()
        w48, w64, w96 = (narrow(width, divisor) for width in (48, 64, 96))
        self.branch1x1 = Normed(n_in, w64, 1)
        self.branch5x5_1 = Normed(n_in, w48, 1)
        self.branch5x5_2 = Normed(w48, w64, 5)
        self.branch3x3dbl_1 = Normed(n_in, w64, 1)
        self.branch3x3dbl_2 = Normed(w64, w96, 3)
        self.branch3x3dbl_3 = Normed(w96, w96, 3)
        self.branch_pool = Normed(n_in, narrow(n_pooled, divisor), 1)

    def forward(self, stream: Tensor) -> Tensor:
        point = self.branch1x1(stream)
        five = self.branch5x5_2(self.branch5x5_1(stream))
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(stream)))
        pooled = self.branch_pool(avg_pool2d(stream, 3, stride=1, padding=1))
        return cat([point, five, twice, pooled], dim=1)


class Reduction35(nn.Module):
    """Mixed_6a: from 35 x 35 to 17 x 17."""

    def __init__(self, n_in: int, divisor: int) -> None:
        super().__init__()
        w64, w96, w384 = (narrow(width, divisor) for width in (64, 96, 384))
        self.branch3x3 = Normed(n_in, w384, 3, stride=2, padding=0)
        self.branch3x3dbl_1 = Normed(n_in, w64, 1)
        self.branch3x3dbl_2 = Normed(w64, w96, 3)
        self.branch3x3dbl_3 = Normed(w96, w96, 3, stride=2, padding=0)

    def forward(self, stream: Tensor) -> Tensor:
        three = self.branch3x3(stream)
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(stream)))
        return cat([three, twice, max_pool2d(stream, 3, stride=2)], dim=1)


class Mixed17(nn.Module):
    """Mixed_6b to 6e: figure 6, n = 7."""

    def __init__(self, n_in: int, n_inner: int, divisor: int) -> None:
        super().__init__()
        w192, inner = narrow(192, divisor), narrow(n_inner, divisor)
        self.branch1x1 = Normed(n_in, w192, 1)
        self.branch7x7_1 = Normed(n_in, inner, 1)
        self.branch7x7_2 = Normed(inner, inner, (1, 7))
        self.branch7x7_3 = Normed(inner, w192, (7, 1))
        self.branch7x7dbl_1 = Normed(n_in, inner, 1)
        self.branch7x7dbl_2 = Normed(inner, inner, (7, 1))
        self.branch7x7dbl_3 = Normed(inner, inner, (1, 7))
        self.branch7x7dbl_4 = Normed(inner, inner, (7, 1))
        self.branch7x7dbl_5 = Normed(inner, w192, (1, 7))
        self.branch_pool = Normed(n_in, w192, 1)

    def forward(self, stream: Tensor) -> Tensor:
        point = self.branch1x1(stream)
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(stream)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(stream)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        pooled = self.branch_pool(avg_pool2d(stream, 3, stride=1, padding=1))
        return cat([point, seven, twice, pooled], dim=1)


class Reduction17(nn.Module):
    """Mixed_7a: from 17 x 17 to 8 x 8."""

    def __init__(self, n_in: int, divisor: int) -> None:
        super().__init__()
        w192, w320 = narrow(192, divisor), narrow(320, divisor)
        self.branch3x3_1 = Normed(n_in, w192, 1)
        self.branch3x3_2 = Normed(w192, w320, 3, stride=2, padding=0)
        self.branch7x7x3_1 = Normed(n_in, w192, 1)
        self.branch7x7x3_2 = Normed(w192, w192, (1, 7))
        self.branch7x7x3_3 = Normed(w192, w192, (7, 1))
        self.branch7x7x3_4 = Normed(w192, w192, 3, stride=2, padding=0)

    def forward(self, stream: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(stream))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(stream)))
        seven = self.branch7x7x3_4(seven)
        return cat([three, seven, max_pool2d(stream, 3, stride=2)], dim=1)


class Mixed8(nn.Module):
    """Mixed_7b and 7c: figure 7, branches that end in two convolutions side by side."""

    def __init__(self, n_in: int, divisor: int) -> None:
        super().__init__()
        w192, w320, w384, w448 = (narrow(width, divisor) for width in (192, 320, 384, 448))
        self.branch1x1 = Normed(n_in, w320, 1)
        self.branch3x3_1 = Normed(n_in, w384, 1)
        self.branch3x3_2a = Normed(w384, w384, (1, 3))
        self.branch3x3_2b = Normed(w384, w384, (3, 1))
        self.branch3x3dbl_1 = Normed(n_in, w448, 1)
        self.branch3x3dbl_2 = Normed(w448, w384, 3)
        self.branch3x3dbl_3a = Normed(w384, w384, (1, 3))
        self.branch3x3dbl_3b = Normed(w384, w384, (3, 1))
        self.branch_pool = Normed(n_in, w192, 1)

    def forward(self, stream: Tensor) -> Tensor:
        point = self.branch1x1(stream)
        three = self.branch3x3_1(stream)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(stream))
        parts = [
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
        ]
        pooled = self.branch_pool(avg_pool2d(stream, 3, stride=1, padding=1))
        return cat([point, *parts, pooled], dim=1)


class Auxiliary(nn.Module):
    """The classifier beside Mixed_6e that only training uses."""

    def __init__(self, n_in: int, n_classes: int, divisor: int) -> None:
        super().__init__()
        w128, w768 = narrow(128, divisor), narrow(768, divisor)
        self.conv0 = Normed(n_in, w128, 1)
        self.conv1 = Normed(w128, w768, 5, padding=0)
        self.fc = nn.Linear(w768, n_classes)

    def forward(self, stream: Tensor) -> Tensor:
        stream = self.conv1(self.conv0(avg_pool2d(stream, 5, stride=3)))
        return self.fc(adaptive_avg_pool2d(stream, 1).flatten(1))


class InceptionV3(nn.Module):
    """In evaluation: the auxiliary classifier is there for its parameters and never run."""

    def __init__(self, divisor: int = 1, n_classes: int = 1000, auxiliary: bool = True) -> None:
        super().__init__()
        w32, w64, w80, w192 = (narrow(width, divisor) for width in (32, 64, 80, 192))
        self.Conv2d_1a_3x3 = Normed(3, w32, 3, stride=2, padding=0)
        self.Conv2d_2a_3x3 = Normed(w32, w32, 3, padding=0)
        self.Conv2d_2b_3x3 = Normed(w32, w64, 3)
        self.Conv2d_3b_1x1 = Normed(w64, w80, 1)
        self.Conv2d_4a_3x3 = Normed(w80, w192, 3, padding=0)
        widths = [narrow(n, divisor) for n in (64, 64, 96)]
        n_in = w192
        for letter, n_pooled in zip("bcd", (32, 64, 64), strict=True):
            self.add_module(f"Mixed_5{letter}", Mixed35(n_in, n_pooled, divisor))
            n_in = sum(widths) + narrow(n_pooled, divisor)
        self.Mixed_6a = Reduction35(n_in, divisor)
        n_in += narrow(384, divisor) + narrow(96, divisor)
        for letter, n_inner in zip("bcde", (128, 160, 160, 192), strict=True):
            self.add_module(f"Mixed_6{letter}", Mixed17(n_in, n_inner, divisor))
            n_in = 4 * w192
        if auxiliary:
            self.AuxLogits = Auxiliary(n_in, n_classes, divisor)
        self.Mixed_7a = Reduction17(n_in, divisor)
        n_in += narrow(320, divisor) + w192
        for letter in "bc":
            self.add_module(f"Mixed_7{letter}", Mixed8(n_in, divisor))
            n_in = narrow(320, divisor) + 4 * narrow(384, divisor) + w192
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        stream = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image))
        stream = max_pool2d(self.Conv2d_2b_3x3(stream), 3, stride=2)
        stream = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(stream))
        stream = max_pool2d(stream, 3, stride=2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            stream = self.get_submodule(f"Mixed_{name}")(stream)
        return self.fc(self.dropout(adaptive_avg_pool2d(stream, 1).flatten(1)))
