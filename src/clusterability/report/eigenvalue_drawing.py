"""A drawing of the smallest eigenvalues of the normalized Laplacian."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from clusterability.display.style import GRAY, INK, PLAIN
from clusterability.report.grouping import require_result
from clusterability.report.panels import (
    axes_or_new,
    extent,
    fitting,
    label_size,
    palette,
    tick_size,
)
from clusterability.result import Clusterability


def plot_eigenvalues(
    result: Clusterability,
    ax: Axes | None = None,
    *,
    color: str = PLAIN,
    title: str | None = None,
    labels: bool = True,
) -> Axes:
    """Draw the smallest eigenvalues of L_norm, ascending, and mark the gap after the k-th.

    The first k are drawn filled; their sum is the lower bound of the n-cut.

    Args:
        result: result of :func:`clusterability.measure`.
        ax: axes to draw on; by default those of a new figure of pyplot.
        color: color of the points.
        title: title in place of the default; empty for none.
        labels: whether to label the axes and their ticks.

    Raises:
        InputError: if it is no result, a color is none, or the axes are too small for their labels.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=0)
    >>> plot_eigenvalues(result, Figure().add_subplot()).texts[0].get_text()
    'gap after k = 2: 0.818'
    """
    require_result(result)
    palette([color])
    values, k = result.eigenvalues, result.settings.n_clusters
    ax = axes_or_new(ax, labels)
    titles = ["Eigenvalues of the normalized Laplacian", "Eigenvalues"]
    chosen = fitting(ax, titles, 1.2 * label_size()) if title is None else title
    ax.set_title(chosen, loc="left", parse_math=False)
    first, later = values[:k], values[k:]
    size = min(5.0, 0.6 * extent(ax)[0] / max(len(values), 1))
    ax.plot(range(1, len(first) + 1), first, "o", color=color, markersize=size)
    ax.plot(range(k + 1, len(values) + 1), later, "o", color=color, markersize=size, mfc="white")
    ax.axvline(k + 0.5, color=GRAY, linewidth=1, linestyle="--", zorder=0)
    top = max([*values, 1e-3])
    ax.set_ylim(-0.05 * top, 1.25 * top)
    ax.set_xlim(0.25, max(len(values), k) + 1.25)
    gap = (
        f"gap after k = {k}: {later[0] - first[-1]:.3f}"
        if later
        else f"k = {k} (no eigenvalue after it is known)"
    )
    ax.text(
        0.02,
        0.97,
        gap,
        transform=ax.transAxes,
        va="top",
        fontsize=tick_size(),
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    ax.xaxis.set_major_locator(MaxNLocator(12 if extent(ax)[0] > 250 else 5, integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    if labels:
        ax.set_xlabel("index (filled: the first k)")
        ax.set_ylabel("eigenvalue")
    return ax
