"""Labels beside the points of a scatter plot, that do not lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

GAP = 4.0
"""Points of a font between a mark and its label."""

RINGS = (1.0, 2.2, 3.6, 5.2)
"""Distances from the mark, in gaps, at which a free place is looked for."""

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


@dataclass(frozen=True)
class Label:
    """A text beside a point of the data."""

    x: float
    y: float
    text: str
    color: str


def place_labels(
    ax: Axes,
    labels: Sequence[Label],
    size: float,
    marks: Sequence[tuple[float, float]] = (),
    mark_size: float = 0.0,
) -> None:
    """Write labels beside their points, each where fewest marks and labels lie already.

    Args:
        ax: with all its marks, whose limits stay.
        labels: to write.
        size: of the font.
        marks: further points of the data, without labels, that are left free.
        mark_size: their width in points of a font.
    """
    if not labels:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    texts = [
        ax.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=label.color,
        )
        for label in labels
    ]
    figure.draw_without_rendering()
    points = ax.transData.transform([(label.x, label.y) for label in labels])
    taken = _boxes(points, np.full(points.shape, size / 2 * figure.dpi / 72))
    if marks:
        others = ax.transData.transform(marks)
        taken = np.vstack(
            [taken, _boxes(others, np.full(others.shape, mark_size * figure.dpi / 144))]
        )
    frame = ax.get_window_extent()
    for i in np.lexsort((points[:, 1], points[:, 0])):
        extent = texts[i].get_window_extent()
        half = np.array([extent.width, extent.height]) / 2
        offsets = _offsets(half, GAP * figure.dpi / 72)
        boxes = _boxes(points[i] + offsets, np.broadcast_to(half, offsets.shape))
        crowded = _overlaps(boxes, taken)
        outside = (boxes[:, :2] < frame.min).any(1) | (boxes[:, 2:] > frame.max).any(1)
        best = int(np.argmin(crowded + len(taken) * outside))
        texts[i].set_position(tuple(offsets[best] * 72 / figure.dpi))
        taken = np.vstack([taken, boxes[best]])


def _offsets(half: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Return where a label's middle may lie, from its mark, the nearest first."""
    return np.array(
        [
            (dx * (half[0] + gap * ring), dy * (half[1] + gap * ring))
            for ring in RINGS
            for dx, dy in DIRECTIONS
        ]
    )


def _boxes(middles: NDArray[np.float64], halves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return left, lower, right and upper ends, (n, 4)."""
    return np.hstack([middles - halves, middles + halves])


def _overlaps(boxes: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many of the taken boxes each box touches."""
    first, other = boxes[:, None], taken[None]
    apart = (first[..., :2] >= other[..., 2:]) | (first[..., 2:] <= other[..., :2])
    touching: NDArray[np.int64] = (~apart.any(-1)).sum(-1)
    return touching
