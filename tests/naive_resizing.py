"""Anti-aliased resizing of one image by loops: the twin of the matrix product."""

import math

import numpy as np


def mirrored(i: int, n: int) -> int:
    """The pixel seen at place i beyond the border: d c b | a b c d | c b a."""
    period = 2 * (n - 1)
    i = abs(i) % period
    return period - i if i >= n else i


def naive_row(row: list[float], n_new: int) -> list[float]:
    n, factor = len(row), len(row) / n_new
    if n_new == n:
        return row
    sigma = (factor - 1) / 2
    radius = int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (d / sigma) ** 2) for d in range(-radius, radius + 1)]
    smooth = [
        sum(w * row[mirrored(i + d - radius, n)] for d, w in enumerate(weights)) / sum(weights)
        for i in range(n)
    ]
    new = []
    for i in range(n_new):
        place = (i + 0.5) * factor - 0.5
        left = math.floor(place)
        share = place - left
        new.append((1 - share) * smooth[left] + share * smooth[mirrored(left + 1, n)])
    return new


def naive_resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    wide = np.array([naive_row(list(map(float, row)), size[1]) for row in image])
    return np.array([naive_row(list(column), size[0]) for column in wide.T]).T
