"""A drawing of the smallest eigenvalues of the normalized Laplacian."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from clusterability.display.style import GRAY, INK, LABEL_SIZE, PLAIN, TICK_SIZE, TITLE_SIZE
from clusterability.result import Clusterability


def plot_eigenvalues(result: Clusterability, ax: Axes) -> None:
    """Draw the smallest eigenvalues of L_norm, ascending, and mark the gap after the k-th.

    The first k are drawn filled; their sum is the lower bound of the n-cut.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=0)
    >>> plot_eigenvalues(result, Figure().add_subplot())
    """
    values, k = result.eigenvalues, result.settings.n_clusters
    ax.set_title("Eigenvalues of the normalized Laplacian", fontsize=TITLE_SIZE, loc="left")
    first, later = values[:k], values[k:]
    ax.plot(range(1, len(first) + 1), first, "o", color=PLAIN, markersize=5)
    ax.plot(range(k + 1, len(values) + 1), later, "o", color=PLAIN, markersize=5, mfc="white")
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
        fontsize=TICK_SIZE,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    ax.tick_params(labelsize=TICK_SIZE)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("index (filled: the first k)", fontsize=LABEL_SIZE)
    ax.set_ylabel("eigenvalue", fontsize=LABEL_SIZE)
