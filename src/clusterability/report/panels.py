"""What all panels share: axes to draw on, sizes of text by matplotlib's own settings, colors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.font_manager import FontProperties

from clusterability.display.style import CLUSTER_COLORS, drawable
from clusterability.errors import InputError
from clusterability.result import Clusterability, Clustering
from clusterability.shown import described

LETTER = 0.55
"""Width of an average letter, in sizes of the font."""

LEAST = (12, 7)
"""Least width and height of axes with labels, in sizes of the tick labels' font."""


def axes_or_new(ax: Axes | None, labels: bool) -> Axes:
    """Return the axes to draw on, new ones of pyplot if none are given.

    Raises:
        InputError: if it is no axes, or they are too small for their labels.
    """
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise InputError(
            f"ax is of type {type(ax).__name__}, expected axes of matplotlib; of an array of them "
            "give one, as axes[0]"
        )
    width, height = extent(ax)
    least = [number * tick_size() for number in LEAST]
    if labels and (width < least[0] or height < least[1]):
        raise InputError(
            f"the axes are {width / 72:.2f} x {height / 72:.2f} in, too small for labels of "
            f"{tick_size():g} points, which need {least[0] / 72:.2f} x {least[1] / 72:.2f} in; "
            "make the figure larger, or pass labels=False"
        )
    return ax


def extent(ax: Axes) -> tuple[float, float]:
    """Return width and height of axes in points."""
    box = ax.get_window_extent()
    return box.width * 72 / ax.figure.dpi, box.height * 72 / ax.figure.dpi


def tick_size() -> float:
    """Return the size of tick labels in points, by ``rcParams``."""
    return float(FontProperties(size=rcParams["xtick.labelsize"]).get_size_in_points())


def label_size() -> float:
    """Return the size of axis labels in points, by ``rcParams``."""
    return float(FontProperties(size=rcParams["axes.labelsize"]).get_size_in_points())


def fitting(ax: Axes, texts: Sequence[str], size: float) -> str:
    """Return the first of the texts that fits the width of the axes, or else the last."""
    room = extent(ax)[0]
    for text in texts:
        if max(map(len, text.splitlines())) * LETTER * size <= room:
            return text
    return texts[-1]


def clustering_of(result: Clusterability, refined: bool) -> Clustering:
    """Return the refined clustering, or that of k-means."""
    return result.refined if refined else result.plain


def palette(colors: Collection[str] | None, least: int = 1) -> list[str]:
    """Return the colors of clusters, which repeat after the last.

    Raises:
        InputError: if there are fewer than ``least``, or matplotlib does not know one.
    """
    if colors is None:
        return list(CLUSTER_COLORS)
    if isinstance(colors, str) or not isinstance(colors, Collection) or len(colors) < least:
        expected = "a list of colors" if least == 1 else f"a list of {least} colors"
        raise InputError(f"colors is {described(colors)}, expected {expected}")
    for color in colors:
        if not is_color_like(color):
            raise InputError(f"{described(color)} is no color; name it as matplotlib does")
    return list(colors)


def distinct_names(names: Sequence[str], limit: int = 18) -> list[str]:
    """Shorten names in the middle such that different ones still differ.

    >>> distinct_names(["features.block1.layer1.conv", "features.block2.layer1.conv"], 18)
    ['...block1.layer...', '...block2.layer...']
    """
    texts = {name: drawable(name, limit) for name in names}
    for alike in _alike(texts):
        first = next(i for i in range(len(min(alike)) + 1) if len({n[: i + 1] for n in alike}) > 1)
        for name in alike:
            dots = max(name.rfind(".", 0, first), name.rfind("_", 0, first))
            texts[name] = _from(name, 1 + max(dots, first - limit // 2), limit)
    for alike in _alike(texts):  # they differ in several places
        for number, name in enumerate(alike, 1):
            texts[name] = f"{drawable(name, limit - 3)}~{number}"
    for alike in _alike(texts):
        for name in alike:
            texts[name] = f"{drawable(name, limit - 3)}~{list(texts).index(name) + 1}"
    return [texts[name] for name in names]


def _alike(texts: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of names that have the same text."""
    groups: dict[str, list[str]] = {}
    for name, text in texts.items():
        groups.setdefault(text, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _from(name: str, start: int, limit: int) -> str:
    rest = drawable(name[start:], limit)
    whole = len(name) - start <= limit - 3
    return f"...{rest}" if whole else f"...{drawable(name[start : start + limit - 6], limit)}..."
