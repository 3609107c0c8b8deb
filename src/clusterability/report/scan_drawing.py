"""A figure of n-cut, effect, gap and stability over the number of clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clusterability.display.figure_files import ShownFigure, check_figure_path, encoded
from clusterability.display.style import GRAY, INK, PLAIN, drawable
from clusterability.files.writing import write_whole
from clusterability.report.scan import ClusterScan
from clusterability.report.series import SIDES


def plot_scan(scan: ClusterScan, path: str | Path | None = None) -> Figure:
    """Draw a scan; a panel that has no numbers, for want of shuffles or seeds, is left out.

    Args:
        scan: the results for several numbers of clusters.
        path: path of the .png, .svg or .pdf file to write; by default none is written.

    Raises:
        InputError: if the path has another suffix or cannot be written.
    """
    if path is not None:
        check_figure_path(path)
    panels = [_plot_ncuts]
    if any(result.plain.null for result in scan.results):
        panels.append(_plot_effects)
    panels.append(_plot_gaps)
    if scan.stability:
        panels.append(_plot_stability)
    figure = ShownFigure(figsize=(3.6 * len(panels), 3.0), layout="constrained")
    for plot, ax in zip(panels, figure.subplots(1, len(panels)), strict=True):
        plot(scan, ax)
        ax.set_xlabel("clusters k")
        ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(drawable(scan.results[0].network, 90), color=INK, parse_math=False)
    if path is not None:
        write_whole(path, encoded(figure, path))
    return figure


def _plot_ncuts(scan: ClusterScan, ax: Axes) -> None:
    k = np.array(scan.numbers_of_clusters)
    for name, color, side in SIDES:
        clusterings = [side(result) for result in scan.results]
        ax.plot(k, [one.ncut for one in clusterings] / k, ".-", color=color, label=name)
        means = np.array([one.null.mean if one.null else np.nan for one in clusterings])
        stds = np.array([one.null.std if one.null else np.nan for one in clusterings])
        if not np.isnan(means).all():
            ax.plot(k, means / k, "--", color=color, linewidth=1, label=f"its shuffles, {name}")
            low, high = (means - stds) / k, (means + stds) / k
            ax.fill_between(k, low, high, color=color, alpha=0.2, linewidth=0)
    bounds = np.array([result.lower_bound for result in scan.results])
    ax.plot(k, bounds / k, color=GRAY, linewidth=1, label="lower bound")
    ax.set_ylabel("n-cut / k")
    ax.legend(frameon=False, fontsize="small")


def _plot_effects(scan: ClusterScan, ax: Axes) -> None:
    for name, color, side in SIDES:
        effects = [side(result).effect for result in scan.results]
        percent = [np.nan if effect is None else 100 * effect for effect in effects]
        ax.plot(scan.numbers_of_clusters, percent, ".-", color=color, label=name)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    if scan.recommended is not None:
        ax.axvline(scan.recommended, color=GRAY, linewidth=0.8, linestyle="--")
    ax.set_ylabel("effect (%)")


def _plot_gaps(scan: ClusterScan, ax: Axes) -> None:
    gaps = [np.nan if gap is None else gap for gap in scan.gaps]
    ax.bar(scan.numbers_of_clusters, gaps, color=PLAIN, alpha=0.6)
    ax.set_ylabel("gap after eigenvalue k")


def _plot_stability(scan: ClusterScan, ax: Axes) -> None:
    for (name, color, _), found in zip(
        SIDES, (scan.stability, scan.refined_stability), strict=True
    ):
        means = [one.mean for one in found]
        ax.plot(scan.numbers_of_clusters, means, ".-", color=color, label=name)
        low, high = [min(one.indices) for one in found], [max(one.indices) for one in found]
        ax.fill_between(scan.numbers_of_clusters, low, high, color=color, alpha=0.2, linewidth=0)
    ax.set_ylim(top=1.02)
    ax.set_ylabel("adjusted Rand index\nof two seeds")
