"""A sheet of samples: rows of images, or targets of a regression over the plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset
from clusterability.datasets.mosaic import enlarge, mosaic, to_colors
from clusterability.datasets.plane_drawing import draw_plane
from clusterability.datasets.registry import DATASETS
from clusterability.display.figure_files import ShownFigure, check_figure_path, encoded
from clusterability.display.style import GRAY, INK, LABEL_SIZE, drawable
from clusterability.display.tables import count_text
from clusterability.errors import InputError
from clusterability.files.writing import write_whole

MOST_ROWS = 20
IMAGE_INCHES = 0.62
MOST_IN_ROW = 100
# Limits of an image's side as drawn, in pixels; with fewer, the gaps of a pixel would look wide.
LEAST_PIXELS, MOST_PIXELS = 28, 128
LEAST_WIDTH = 7.4


def samples_sheet(
    dataset: Dataset,
    path: str | Path | None = None,
    n: int = 10,
    classes: Sequence[int] | None = None,
) -> Figure:
    """Draw the first training samples of each class, one row a class.

    The first of two channels is blue, the second green. ``classes=(3,)`` draws a row as in figures
    4 and 11 of Filan et al. (2021). For a regression over the plane, a few targets are drawn.

    Args:
        dataset: a data set of images, or of points in the plane with targets.
        path: path of the .png, .svg or .pdf file to write; by default none is written.
        n: number of images in a row, at most 100.
        classes: the classes to draw; by default the first 20.

    Raises:
        InputError: if the samples are neither images nor points in the plane, a class is unknown,
            or the path cannot be written.
    """
    if path is not None:
        check_figure_path(path)
    if dataset.train.x.ndim == 4:
        figure = _images(dataset, n, classes)
    elif dataset.n_classes is None and dataset.train.x.shape[1] == 2:
        figure = _plane(dataset)
    else:
        raise InputError(
            f"samples of {dataset.name!r} have shape {dataset.train.x.shape[1:]}, expected images "
            "or points in the plane with targets; reshape x to (n, channels, height, width)"
        )
    if path is not None:
        write_whole(path, encoded(figure, path))
    return figure


def _images(dataset: Dataset, n: int, classes: Sequence[int] | None) -> Figure:
    rows = _rows(dataset, n, classes)
    drawn = _pictures(dataset.train.x[np.concatenate(list(rows.values()))])
    height, width = drawn.shape[1:3]
    places = np.cumsum([len(chosen) for chosen in rows.values()])[:-1]
    gap = max(1, round(0.07 * width))
    picture = mosaic(np.split(drawn, places), n, gap)
    inches = IMAGE_INCHES / max(height, width)
    figure, ax = _figure_with_axes(dataset, (picture.shape[1] * inches, picture.shape[0] * inches))
    # Without interpolation each pixel is drawn as it enters the network.
    ax.imshow(picture, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    for i, label in enumerate(rows):
        center = gap + i * (height + gap) + height / 2 - 0.5
        style: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": INK, "ha": "right"}
        ax.text(-0.08 / inches, center, label, va="center", **style)
    return figure


def _pictures(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the colors of images; large images are thinned out and small ones enlarged."""
    step = -(-max(x.shape[2:]) // MOST_PIXELS)
    return enlarge(to_colors(x[:, :, ::step, ::step]), LEAST_PIXELS)


def _rows(dataset: Dataset, n: int, classes: Sequence[int] | None) -> dict[str, NDArray[np.intp]]:
    """Return the indices of the first ``n`` samples of each class, by its label."""
    y = dataset.train.y
    if n not in range(1, MOST_IN_ROW + 1):
        raise InputError(f"n is {n!r}, expected 1 to {MOST_IN_ROW} images in a row")
    if dataset.n_classes is None:
        return {"": np.arange(min(n, len(y)))}
    drawn = list(range(min(dataset.n_classes, MOST_ROWS)) if classes is None else classes)
    for label in drawn:
        if label not in range(dataset.n_classes):
            raise InputError(
                f"there is no class {label!r} in {dataset.name!r}, expected 0 to "
                f"{dataset.n_classes - 1}; choose among these"
            )
    if not drawn:
        raise InputError("classes is empty, expected one or more to draw; name some")
    return {str(label): np.flatnonzero(y == label)[:n] for label in drawn}


def _plane(dataset: Dataset) -> Figure:
    figure = ShownFigure(figsize=(11.2, 5.2))
    _headline(figure, dataset, 0.045)
    draw_plane(figure, dataset)
    return figure


def _figure_with_axes(dataset: Dataset, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure with a headline, and below it axes of the given size in inches."""
    left, right, top, bottom = 0.5, 0.25, 0.8, 0.25
    width, height = max(size[0] + left + right, LEAST_WIDTH), size[1] + top + bottom
    figure = ShownFigure(figsize=(width, height))
    ax = figure.add_axes((left / width, bottom / height, size[0] / width, size[1] / height))
    _headline(figure, dataset, left / width)
    return figure, ax


def _headline(figure: Figure, dataset: Dataset, left: float) -> None:
    height = figure.get_figheight()
    style: dict[str, Any] = {"va": "center", "parse_math": False}
    name = drawable(dataset.name, 50)
    figure.text(left, 1 - 0.27 / height, name, fontsize=13, weight="bold", color=INK, **style)
    below = 1 - 0.55 / height
    figure.text(left, below, _subtitle(dataset), fontsize=LABEL_SIZE, color=GRAY, **style)


def _subtitle(dataset: Dataset) -> str:
    n_test = 0 if dataset.test is None else len(dataset.test.y)
    sizes = f"{len(dataset.train.y):,} + {n_test:,}" if n_test else f"{len(dataset.train.y):,}"
    shape = " x ".join(str(n) for n in dataset.train.x.shape[1:])
    entry = DATASETS.get(dataset.name)
    parts = [] if entry is None else [entry.title]
    parts.append(f"{sizes} samples of {shape}" + (" inputs" if dataset.train.x.ndim == 2 else ""))
    if dataset.n_classes is None:
        parts.append(count_text(dataset.train.y.shape[1], "target"))
    return "   |   ".join(parts)
