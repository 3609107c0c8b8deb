"""Random rotations, shifts and flips of images, as the paper augments CIFAR-10 (appendix A.2)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

MAX_ANGLE = math.radians(15)
MAX_SHIFT = 0.1
"""Of the side length."""


def draw_transformations(n_images: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return an affine map from new pixels to old ones for each image, (n, 2, 3).

    Angles are uniform up to 15 degrees to either side, as Keras's ``rotation_range=15`` has them;
    shifts are uniform up to a tenth of the side, both ways; and half of the images are flipped.
    """
    angle = generator.uniform(-MAX_ANGLE, MAX_ANGLE, n_images)
    # Sides are 2 long in the coordinates of the maps.
    shift = 2 * generator.uniform(-MAX_SHIFT, MAX_SHIFT, (n_images, 2))
    sign = np.where(generator.random(n_images) < 0.5, -1.0, 1.0)
    rows = [
        [np.cos(angle) * sign, -np.sin(angle), shift[:, 0]],
        [np.sin(angle) * sign, np.cos(angle), shift[:, 1]],
    ]
    return np.asarray(rows).transpose(2, 0, 1).astype(np.float32)


def transform(images: Tensor, maps: Tensor) -> Tensor:
    """Return the images (n, channels, height, width), each moved by its map (n, 2, 3).

    Pixels are interpolated bilinearly; outside the image they are the nearest pixel of the border,
    as in Keras.
    """
    height, width = images.shape[2:]
    # Coordinates run from -1 to 1 along both sides, but a rotation is one in pixels.
    maps = maps.clone()
    maps[:, 0, 1] *= height / width
    maps[:, 1, 0] *= width / height
    grid = affine_grid(maps, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
