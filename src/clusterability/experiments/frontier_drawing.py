"""The figure of the frontier: accuracy, whole and cut apart, against n-cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterability.display.style import GRAY, INK, LABEL_SIZE, TICK_SIZE, TITLE_SIZE

COLORS = ("#222222", "#0072b2", "#d55e00", "#209060", "#8d4fb3", "#b8860b", "#a0522d", "#c2185b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

Row = Mapping[str, Any]


def draw_frontier(means: Sequence[Row]) -> Figure:
    """Draw the means of each way: accuracy as it is above, after the cut below, n-cut to the right.

    Args:
        means: of ``modular_frontier``, those of the networks at the end of their training count.
    """
    last = _last_phases(means)
    sets = list(dict.fromkeys(row["dataset"] for row in last))
    ways = list(dict.fromkeys((row["way"], row["layers"]) for row in last))
    figure = Figure(figsize=(5.4 * len(sets) + 2.6, 6.4), layout="constrained")
    axes = figure.subplots(2, len(sets), sharex=True, squeeze=False)
    for column, dataset in enumerate(sets):
        rows = [row for row in last if row["dataset"] == dataset]
        for line, (name, label) in enumerate(
            (("accuracy", "accuracy"), ("accuracy_cut", "accuracy, cut apart"))
        ):
            ax = axes[line, column]
            _points(ax, rows, ways, name)
            ax.set_ylabel(f"{label} (%)", fontsize=LABEL_SIZE)
        axes[0, column].set_title(dataset, fontsize=TITLE_SIZE)
        axes[1, column].set_xlabel("n-cut", fontsize=LABEL_SIZE)
    figure.legend(
        handles=_handles(ways), loc="outside right upper", fontsize=TICK_SIZE, frameon=False
    )
    return figure


def _last_phases(means: Sequence[Row]) -> list[Row]:
    found: dict[tuple[Any, ...], Row] = {}
    for row in means:  # pruned rows come after unpruned ones
        found[row["dataset"], row["way"], row["layers"], row["k"]] = row
    return list(found.values())


def _points(ax: Axes, rows: Sequence[Row], ways: Sequence[tuple[str, str]], name: str) -> None:
    for row in rows:
        i = ways.index((row["way"], row["layers"]))
        color, marker = COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) % len(MARKERS)]
        style: dict[str, Any] = {"color": color, "marker": marker, "s": 48, "zorder": 3}
        ax.scatter(row["ncut"], 100 * row[name], **style)
    ax.tick_params(labelsize=TICK_SIZE)
    ax.grid(color=GRAY, lw=0.3, alpha=0.5)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _handles(ways: Sequence[tuple[str, str]]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            ls="",
            marker=MARKERS[i // len(COLORS) % len(MARKERS)],
            color=COLORS[i % len(COLORS)],
            label=f"{way} ({layers})",
            markeredgecolor=INK,
            markeredgewidth=0.3,
        )
        for i, (way, layers) in enumerate(ways)
    ]
