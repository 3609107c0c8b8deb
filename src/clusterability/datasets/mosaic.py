"""Images in rows on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Light added up, as on a screen: black where both channels are dark.
TWO_CHANNELS = np.array([[0.16, 0.42, 1.0], [0.2, 0.85, 0.2]])

# Neither black nor white, so that an image's own border is seen.
BETWEEN = (0.68, 0.72, 0.77)


def colored(images: NDArray[Any]) -> NDArray[np.float64]:
    """Images (n, channels, height, width) as (n, height, width, 3) colors in 0..1.

    One channel is gray, two are blue and green, three are red, green and blue; of more, the mean.
    Floats beyond 0..1 are scaled into it, all alike.
    """
    pixels: NDArray[np.float64] = images.astype(np.float64)
    pixels = pixels / 255 if images.dtype == np.uint8 else _scaled(pixels)
    pixels = np.moveaxis(pixels, 1, -1)
    n_channels = pixels.shape[-1]
    if n_channels == 2:
        pixels = np.minimum(pixels @ TWO_CHANNELS, 1)
    elif n_channels != 3:
        pixels = np.repeat(pixels.mean(-1, keepdims=True), 3, axis=-1)
    return pixels


def enlarged(images: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Repeat each pixel of images (n, height, width, 3) until they are about of the size."""
    times = max(1, round(size / max(images.shape[1:3])))
    return images.repeat(times, axis=1).repeat(times, axis=2)


def _scaled(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    lowest, highest = min(pixels.min(), 0.0), max(pixels.max(), 1.0)
    scaled: NDArray[np.float64] = (pixels - lowest) / (highest - lowest)
    return scaled


def mosaic(rows: Sequence[NDArray[np.float64]], n: int, gap: int) -> NDArray[np.float64]:
    """Rows of at most ``n`` images (., height, width, 3), with ``gap`` pixels around each."""
    height, width = rows[0].shape[1:3]
    picture = np.empty((len(rows) * (height + gap) + gap, n * (width + gap) + gap, 3))
    picture[:] = BETWEEN
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = gap + i * (height + gap), gap + j * (width + gap)
            picture[top : top + height, left : left + width] = image
    return picture
