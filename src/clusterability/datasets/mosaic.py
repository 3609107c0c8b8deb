"""A picture of rows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The two colors add up like light on a screen: dark channels give black.
TWO_CHANNELS = np.array([[0.16, 0.42, 1.0], [0.2, 0.85, 0.2]])

# Neither black nor white, so that the border of an image stays visible.
BETWEEN = (0.68, 0.72, 0.77)


def to_colors(images: NDArray[Any]) -> NDArray[np.float64]:
    """Convert images (n, channels, height, width) to colors (n, height, width, 3) in 0..1.

    One channel becomes gray, two become blue and green, three red, green and blue; of more channels
    the mean becomes gray. Floats outside of 0..1 are scaled into it, all by the same factor.
    """
    pixels: NDArray[np.float64] = images.astype(np.float64)
    pixels = pixels / 255 if images.dtype == np.uint8 else _scale(pixels)
    pixels = np.moveaxis(pixels, 1, -1)
    n_channels = pixels.shape[-1]
    if n_channels == 2:
        pixels = np.minimum(pixels @ TWO_CHANNELS, 1)
    elif n_channels != 3:
        pixels = np.repeat(pixels.mean(-1, keepdims=True), 3, axis=-1)
    return pixels


def enlarge(images: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Repeat the pixels of images (n, height, width, 3) to make the longer side about ``size``."""
    times = max(1, round(size / max(images.shape[1:3])))
    return images.repeat(times, axis=1).repeat(times, axis=2)


def _scale(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    lowest, highest = min(pixels.min(), 0.0), max(pixels.max(), 1.0)
    scaled: NDArray[np.float64] = (pixels - lowest) / (highest - lowest)
    return scaled


def mosaic(rows: Sequence[NDArray[np.float64]], n: int, gap: int) -> NDArray[np.float64]:
    """Return a picture with the rows of images, ``gap`` pixels apart.

    Args:
        rows: images (n_images, height, width, 3) of each row.
        n: largest number of images in a row.
        gap: number of pixels around each image.
    """
    height, width = rows[0].shape[1:3]
    picture = np.empty((len(rows) * (height + gap) + gap, n * (width + gap) + gap, 3))
    picture[:] = BETWEEN
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = gap + i * (height + gap), gap + j * (width + gap)
            picture[top : top + height, left : left + width] = image
    return picture
