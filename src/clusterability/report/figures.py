"""A sheet with the four figures of a result, and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from clusterability.display.figure_files import ShownFigure, check_figure_path, encoded
from clusterability.display.style import INK, LABEL_SIZE, TICK_SIZE, TITLE_SIZE, drawable
from clusterability.display.tables import count_text
from clusterability.files.writing import write_whole
from clusterability.report.adjacency_drawing import plot_adjacency
from clusterability.report.eigenvalue_drawing import plot_eigenvalues
from clusterability.report.network_drawing import plot_network
from clusterability.report.null_drawing import plot_null, say
from clusterability.report.numerals import (
    bound_name,
    effect_text,
    graph_text,
    isolated_text,
    null_text,
    p_text,
    z_text,
)
from clusterability.result import Clusterability

__all__ = [
    "plot_adjacency",
    "plot_eigenvalues",
    "plot_network",
    "plot_null",
    "sheet",
]


SIZES: dict[Any, Any] = {
    "font.size": LABEL_SIZE,
    "axes.titlesize": TITLE_SIZE,
    "axes.labelsize": LABEL_SIZE,
    "xtick.labelsize": TICK_SIZE,
    "ytick.labelsize": TICK_SIZE,
}
"""Sizes of the sheet's text, whose layout is fixed; the panels by themselves heed ``rcParams``."""


def sheet(result: Clusterability, path: str | Path | None = None) -> Figure:
    """Draw the network, its adjacency matrix, the null distribution and the eigenvalues.

    Args:
        result: result of :func:`clusterability.measure`. If it was read from JSON it has no graph,
            and two panels say so.
        path: path of the .png, .svg or .pdf file to write; by default none is written.

    Raises:
        InputError: if the path has another suffix or cannot be written.
    """
    if path is not None:
        check_figure_path(path)
    figure, grid = _layout(drawn=result.graph is not None)
    with rc_context(SIZES):
        _headline(figure, result)
        _with_graph(plot_network, "Network", result, figure.add_subplot(grid[0, 0]))
        _with_graph(plot_adjacency, "Adjacency matrix", result, figure.add_subplot(grid[0, 1]))
        plot_null(result, figure.add_subplot(grid[1, 0]))
        plot_eigenvalues(result, figure.add_subplot(grid[1, 1]))
    if path is not None:
        write_whole(path, encoded(figure, path))
    return figure


def _layout(drawn: bool) -> tuple[Figure, GridSpec]:
    """Return a figure and its grid; if the graph is not drawn, the upper row is low."""
    height, upper = (9.6, 1.75) if drawn else (6.2, 0.35)
    figure = ShownFigure(figsize=(14, height))
    grid = figure.add_gridspec(
        *(2, 2),
        width_ratios=(1.5, 1),
        height_ratios=(upper, 1),
        left=0.075,
        right=0.975,
        top=1 - 1.1 / height,
        bottom=0.6 / height,
        wspace=0.13,
        hspace=0.33 if drawn else 0.4,
    )
    return figure, grid


def _with_graph(
    plot: Callable[[Clusterability, Axes], Axes], title: str, result: Clusterability, ax: Axes
) -> None:
    if result.graph is not None:
        plot(result, ax)
        return
    ax.set_title(title, loc="left")
    say(ax, "The graph is not part of the JSON:\nmeasure the network again to draw it.")


def _headline(figure: Figure, result: Clusterability) -> None:
    height = figure.get_figheight()
    name = drawable(result.network, 90)
    style: dict[str, Any] = {"va": "center", "color": INK, "parse_math": False}
    lines = ((name, 0.27, 15.0, "bold"), (_headline_numbers(result), 0.6, 10.5, "normal"))
    for words, below, size, weight in lines:
        line = figure.text(0.03, 1 - below / height, words, fontsize=size, weight=weight, **style)
        # One that is wider than the sheet becomes smaller.
        room = 0.94 * figure.bbox.width / line.get_window_extent().width
        line.set_fontsize(size * min(1.0, room))


def _headline_numbers(result: Clusterability) -> str:
    plain = result.plain
    bound = f"{bound_name(result.settings)} {result.lower_bound:.3f}"
    others = f"refined {result.refined.ncut:.3f}, {bound}"
    parts = [f"n-cut {plain.ncut:.3f} ({others})"]
    if plain.null:
        parts.append(
            f"{count_text(len(plain.null.values), 'shuffle')} {null_text(plain.null, '±')}"
        )
        parts.append(f"effect {effect_text(plain.effect)}")
    if plain.z_score is not None:
        parts.append(f"Z = {z_text(plain.z_score)}")
    if plain.p_value is not None:
        parts.append(f"p = {p_text(plain.p_value)}")
    parts.append(
        f"{plain.effective_clusters:.1f} effective of {count_text(len(plain.clusters), 'cluster')}"
    )
    neurons = count_text(sum(layer.n_neurons for layer in result.layers), "neuron")
    parts.append(", ".join([neurons, *isolated_text(result), *graph_text(result.settings)]))
    return "   |   ".join(parts)
