"""A drawing of a network's n-cut among the n-cuts of its shuffles."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from clusterability.display.style import GRAY, PLAIN, REFINED
from clusterability.display.tables import count_text
from clusterability.report.grouping import require_result
from clusterability.report.numerals import p_text, z_text
from clusterability.report.panels import axes_or_new, extent, fitting, label_size, palette
from clusterability.result import Clusterability, Clustering

HEADROOM = 1.5

FEW = 20
"""Up to this many shuffles are ticks: bars of so few would show the bins more than them."""


def plot_null(
    result: Clusterability,
    ax: Axes | None = None,
    *,
    colors: tuple[str, str] = (PLAIN, REFINED),
    title: str | None = None,
    labels: bool = True,
) -> Axes:
    """Draw a histogram of the shuffles' n-cuts, and the network's n-cut as a vertical line.

    The n-cuts of k-means point up and the refined ones down, so that neither hides the other; each
    side gives the p-value and Z-score. Up to 20 shuffles are a tick each. Without shuffles, a text
    says that none were run.

    Args:
        result: result of :func:`clusterability.measure`.
        ax: axes to draw on; by default those of a new figure of pyplot.
        colors: color of k-means and of the refined clustering.
        title: title in place of the default; empty for none.
        labels: whether to label the axes and their ticks.

    Raises:
        InputError: if it is no result, a color is none, or the axes are too small for their labels.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=9)
    >>> plot_null(result, Figure().add_subplot()).texts[0].get_text().split(", Z")[0]
    'k-means: n-cut 0.182'
    """
    require_result(result)
    ax, (plain, refined) = axes_or_new(ax, labels), palette(colors, 2)[:2]
    ax.set_title("Null distribution" if title is None else title, loc="left", parse_math=False)
    sides = [("k-means", result.plain, plain, 1), ("refined", result.refined, refined, -1)]
    sides = [side for side in sides if side[1].null is not None and side[1].null.values]
    if not sides:
        say(ax, "No shuffles were run:\nnothing is known about chance.")
        return ax
    values = [x for _, clustering, _, _ in sides for x in (clustering.ncut, *_null(clustering))]
    span = max(max(values) - min(values), 1e-3 * max(1.0, *map(abs, values)))
    few = len(_null(sides[0][1])) <= FEW
    bars = [np.histogram(_null(side[1]), _edges(_null(side[1]), span)) for side in sides]
    highest = max(int(counts.max()) for counts, _ in bars)
    for (name, clustering, color, sign), (counts, edges) in zip(sides, bars, strict=True):
        if few:
            ax.vlines(_null(clustering), 0, sign * highest / 2, color=color, linewidth=1, alpha=0.6)
        else:
            ax.stairs(sign * counts, edges, fill=True, color=color, alpha=0.45)
        ax.vlines(clustering.ncut, 0, sign * highest, color=color, linewidth=2.2)
        height = 0.97 if sign > 0 else 0.03
        _write(ax, height, fitting(ax, _labels(name, clustering), label_size()), color=color)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set_xlim(min(values) - 0.06 * span, max(values) + 0.06 * span)
    signs = [side[3] for side in sides]
    top = highest * _headroom(ax)
    ax.set_ylim(top * min(0, *signs), top * max(0, *signs))
    ax.spines[["top", "right"]].set_visible(False)
    _label_counts(ax, few)
    if labels:
        _label_axes(ax, len(_null(sides[0][1])), few)
    return ax


def _headroom(ax: Axes) -> float:
    """Return the height of a side over that of its bars, such that two lines of words fit above."""
    words = 2.6 * label_size() / max(extent(ax)[1], 1.0) + 0.05
    return max(HEADROOM, 0.5 / max(0.5 - words, 0.1))


def say(ax: Axes, words: str) -> None:
    """Write words on the axes in place of a drawing."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color("#dddddd")
    _write(ax, 0.5, words, color=GRAY)


def _null(clustering: Clustering) -> tuple[float, ...]:
    return clustering.null.values if clustering.null else ()


def _edges(values: tuple[float, ...], span: float) -> NDArray[np.float64]:
    low, high = min(values), max(values)
    if high - low < 0.01 * span:
        # The values are too close for visible bins: draw one bar.
        middle = (low + high) / 2
        return np.array([middle - 0.0075 * span, middle + 0.0075 * span])
    n_bins = min(max(5, round(1.5 * float(np.sqrt(len(values))))), 40)
    return np.linspace(low, high, n_bins + 1)


def _labels(name: str, clustering: Clustering) -> list[str]:
    """Return the numbers of a side in one line, and in two."""
    parts = [f"{name}: n-cut {clustering.ncut:.3f}"]
    if clustering.z_score is not None:
        parts.append(f"Z = {z_text(clustering.z_score)}")
    if clustering.p_value is not None:
        parts.append(f"p = {p_text(clustering.p_value)}")
    first, *others = parts
    return [", ".join(parts), "\n".join([first, ", ".join(others)]).strip()]


def _write(ax: Axes, height: float, words: str, color: str) -> None:
    vertical = "top" if height > 0.9 else "bottom" if height < 0.1 else "center"
    text = ax.text(0.5, height, words, fontsize=label_size(), color=color, transform=ax.transAxes)
    text.set(ha="center", va=vertical)


def _label_counts(ax: Axes, few: bool) -> None:
    if few:
        ax.set_yticks([])
        return
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{abs(count):.0f}"))


def _label_axes(ax: Axes, n_shuffles: int, few: bool) -> None:
    bars = f"{'ticks' if few else 'bars'}: {count_text(n_shuffles, 'shuffle')}"
    ax.set_xlabel(fitting(ax, [f"n-cut (line: the network; {bars})", "n-cut"], label_size()))
    ax.set_ylabel("shuffles")
