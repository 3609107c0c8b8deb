"""Resizing of images without aliasing, with the same result as scikit-image's ``resize``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Parts, Split

BATCH = 5_000


def make_small(_: int, bases: Sequence[Dataset]) -> Parts:
    """Resize images to 7 x 7, float32 in 0..1, not rounded (section 4.1 of Filan et al., 2021)."""
    base = bases[0]
    train, test = (
        None if part is None else Split(_unit(resize(part.x, (7, 7))), part.y)
        for part in (base.train, base.test)
    )
    assert train is not None
    return train, test


def _unit(pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    return (pixels / 255).astype(np.float32)


def resize(images: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Smooth each axis with a Gaussian, then interpolate linearly at the new pixels' centers.

    The Gaussian's standard deviation is (f - 1) / 2 pixels along an axis that shrinks by the factor
    f. Beyond the border the image is mirrored at its last pixel. The result is that of
    ``skimage.transform.resize(image, size, anti_aliasing=True)``; as this is linear, it is computed
    as a product with one matrix for each axis.

    Args:
        images: images (n, channels, height, width).
        size: new height and width.
    """
    height, width = images.shape[2:]
    rows, columns = _resizing_matrix(height, size[0]), _resizing_matrix(width, size[1])
    out = np.empty((*images.shape[:2], *size))
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH].astype(np.float64)
        out[start : start + BATCH] = rows @ (batch.reshape(-1, width) @ columns.T).reshape(
            *batch.shape[:3], size[1]
        )
    return out


@cache
def _resizing_matrix(n_old: int, n_new: int) -> NDArray[np.float64]:
    """Return the matrix (n_new, n_old) that resizes one row of pixels: the resized identity."""
    from scipy import ndimage

    factor = n_old / n_new
    matrix = np.eye(n_old)
    if n_new == n_old:
        return matrix
    if factor > 1:
        matrix = ndimage.gaussian_filter1d(matrix, (factor - 1) / 2, axis=0, mode="mirror")
    zoomed: NDArray[np.float64] = ndimage.zoom(
        matrix, (n_new / n_old, 1), order=1, mode="mirror", grid_mode=True
    )
    return zoomed
