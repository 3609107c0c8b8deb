"""The networks that commands of the documentation name."""

from torch import nn


class Residual(nn.Module):
    """A small network in the place of a large one, for images of any size."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 6, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head(x + self.conv(x)).amax((2, 3))


class TwoInputs(nn.Module):
    """An image and what is known beside it."""

    def __init__(self):
        super().__init__()
        self.image, self.features = nn.Linear(28 * 28, 16), nn.Linear(10, 16)
        self.head = nn.Linear(16, 12)

    def forward(self, image, features):
        return self.head((self.image(image.flatten(1)) + self.features(features)).relu())
