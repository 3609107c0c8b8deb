"""A drawing of the network by layer and cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from clusterability.display.style import GRAY, INK, drawable
from clusterability.graph import NeuronGraph
from clusterability.report.discs import Discs, joined_discs, place_discs
from clusterability.report.grouping import require_graph
from clusterability.report.numerals import share_text
from clusterability.report.panels import (
    LETTER,
    axes_or_new,
    clustering_of,
    distinct_names,
    extent,
    label_size,
    palette,
    tick_size,
)
from clusterability.result import Clusterability, Clustering

WIDEST = 7.0
FAINTEST = 0.15
SMALLEST_AREA = 14.0
SHORTEST = 12
"""Characters of a slanted label, at least."""
ARC = 0.42
"""Width of the longest arc within a layer, in columns."""


def plot_network(
    result: Clusterability,
    ax: Axes | None = None,
    *,
    refined: bool = False,
    colors: Sequence[str] | None = None,
    title: str | None = None,
    labels: bool = True,
) -> Axes:
    """Draw the network from left to right, with each cluster in its own lane.

    The lanes are in the order of the clusters' mean layer. A disc stands for the neurons of one
    cluster in one layer, and its area for their number; in a network of up to 48 neurons a disc is
    one neuron. A line connects two discs, or an arc two discs of one layer; it is wider, the larger
    its share of the strength between the two layers or within the one. A line within a cluster has
    the cluster's color, a line between clusters is gray. A ring around a disc is the strength among
    its own neurons. Isolated neurons are left out. Modeled on figure 1 of Filan et al. (2021).

    Args:
        result: result of :func:`clusterability.measure`.
        ax: axes to draw on; by default those of a new figure of pyplot.
        refined: whether to show the refined clusters in place of those of k-means.
        colors: colors of the clusters, which repeat after the last.
        title: title in place of the default; empty for none.
        labels: whether to label the axes and their ticks.

    Raises:
        InputError: if the result has no graph, a color is unknown, or the axes are too small for
            their labels.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=0)
    >>> labels = plot_network(result, Figure().add_subplot()).get_yticklabels()
    >>> [label.get_text() for label in labels]
    ['0   50.0 %', '1   50.0 %']
    """
    graph, clustering = require_graph(result), clustering_of(result, refined)
    ax, colors = axes_or_new(ax, labels), palette(colors)
    discs = place_discs(graph, clustering.labels, len(clustering.clusters))
    ax.set_xlim(-0.5, len(graph.layers) - 0.5)
    ax.set_ylim(discs.height, 0)
    width, height = extent(ax)
    unit, column = height / discs.height, width / len(graph.layers)
    diameter = min(unit, 0.5 * column, 40.0)
    of_disc = [colors[label % len(colors)] for label in discs.cluster.tolist()]
    widest, bend = min(WIDEST, 0.5 * diameter), min(0.6, diameter / unit)
    sizes = diameter**2 * discs.size / max(int(discs.size.max(initial=1)), 1)
    sizes = np.maximum(sizes, min(SMALLEST_AREA, diameter**2))
    _draw_lines(ax, graph, discs, of_disc, sizes, widest, bend)
    style: dict[str, Any] = {"edgecolors": "white", "linewidths": min(0.6, diameter / 20)}
    ax.scatter(discs.layer, discs.y, s=sizes, c=of_disc, zorder=3, **style)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_title("Network by cluster" if title is None else title, loc="left", parse_math=False)
    if not labels:
        ax.set(xticks=[], yticks=[])
        return ax
    _label_layers(ax, result, column)
    _label_lanes(ax, clustering, discs, unit)
    one = "a neuron" if discs.size.max(initial=1) == 1 else "neurons, by area"
    key = f"disc: {one}; line: share of the strength {_place(graph)}"
    key = f"{key} (gray: between clusters)"
    if (len(key) + 24) * LETTER * (tick_size() - 1) < width:
        ax.set_title(key, fontsize=tick_size() - 1, loc="right", color=INK)
    return ax


def _place(graph: NeuronGraph) -> str:
    if len(graph.layers) == 1:
        return "between neurons"
    within = any(block.source == block.target for block in graph.blocks)
    return "between layers or in one" if within else "between two layers"


def _draw_lines(
    ax: Axes,
    graph: NeuronGraph,
    discs: Discs,
    colors: Sequence[str],
    sizes: NDArray[np.float64],
    widest: float,
    bend: float,
) -> None:
    joined = sorted(joined_discs(graph, discs), key=lambda one: one[2])
    if not joined:
        return
    largest = joined[-1][2]
    # The square root keeps weak connections visible; the faintest would only tint the background.
    widths = [(i, j, widest * (share / largest) ** 0.5) for i, j, share in joined]
    _draw_rings(ax, discs, colors, sizes, [(i, width) for i, j, width in widths if i == j])
    for within in (False, True):
        chosen = [
            (i, j, width)
            for i, j, width in widths
            if width > FAINTEST and i != j and (discs.cluster[i] == discs.cluster[j]) == within
        ]
        shades = [
            to_rgba(colors[i], 0.75) if within else to_rgba(GRAY, 0.08 + 0.45 * width / widest)
            for i, _, width in chosen
        ]
        ax.add_collection(
            LineCollection(
                [connecting_curve(discs, i, j, bend) for i, j, _ in chosen],
                linewidths=[width for _, _, width in chosen],
                colors=shades,
                capstyle="butt",
                zorder=2 if within else 1,
            )
        )


def _draw_rings(
    ax: Axes,
    discs: Discs,
    colors: Sequence[str],
    sizes: NDArray[np.float64],
    rings: Sequence[tuple[int, float]],
) -> None:
    """Draw the strength among a disc's own neurons as a ring around it, as wide as a line."""
    shown = [(i, width) for i, width in rings if width > FAINTEST]
    if not shown:
        return
    where, widths = (
        [i for i, _ in shown],
        np.array([min(width, np.sqrt(sizes[i]) / 4) for i, width in shown]),
    )
    areas = (np.sqrt(sizes[where]) + 2 + widths) ** 2
    edges = [to_rgba(colors[i], 0.75) for i in where]
    style: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": edges,
        "linewidths": widths,
        "zorder": 2,
    }
    ax.scatter(discs.layer[where], discs.y[where], s=areas, **style)


def connecting_curve(discs: Discs, i: int, j: int, bend: float) -> NDArray[np.float64]:
    """Return the points, (n_points, 2), of the curve that joins two discs."""
    t = np.linspace(0, 1, 24)
    x = discs.layer[i] + (discs.layer[j] - discs.layer[i]) * t
    y = discs.y[i] + (discs.y[j] - discs.y[i]) * t**2 * (3 - 2 * t)
    if discs.layer[j] == discs.layer[i]:
        # An arc within a layer is half an ellipse, on the side of the next layer.
        length = abs(discs.y[j] - discs.y[i]) / discs.height
        x = x + ARC * length**0.5 * np.sin(np.pi * t)
        y = discs.y[i] + (discs.y[j] - discs.y[i]) * (1 - np.cos(np.pi * t)) / 2
    if discs.layer[j] - discs.layer[i] > 1:
        # A connection that skips layers bends around their discs.
        y = y - bend * np.sin(np.pi * t)
    return np.column_stack([x, y])


def _label_layers(ax: Axes, result: Clusterability, column: float) -> None:
    names, size = distinct_names([layer.name for layer in result.layers]), tick_size()
    sizes = [layer.n_neurons - layer.n_isolated for layer in result.layers]
    longest = max(max(map(len, names)), 5)
    level = longest * 0.62 * size < column
    # Slanted text takes about twice its height along the axis.
    step = 1 if level else max(1, int(np.ceil(2.2 * size / column)))
    texts = [
        f"{name}\n{n:,}" if level else f"{name} ({n:,})"
        for name, n in zip(names, sizes, strict=True)
    ]
    if not level:
        texts = _within_figure(ax, texts, size, column)
    ax.set_xticks(
        range(0, len(texts), step),
        texts[::step],
        fontsize=size,
        parse_math=False,
        rotation=0 if level else 30,
        ha="center" if level else "right",
        rotation_mode="anchor" if not level else "default",
    )


def _within_figure(ax: Axes, texts: Sequence[str], size: float, column: float) -> list[str]:
    """Shorten the slanted labels of the first layers that would leave the figure on its left."""
    figure = ax.get_figure(root=True)
    if figure is None or figure.get_layout_engine() is not None:  # which makes room for labels
        return list(texts)
    room = ax.get_window_extent().x0 * 72 / figure.dpi
    limits = [max(SHORTEST, int((room + i * column) / (0.5 * size))) for i in range(len(texts))]
    return [drawable(text, limit) for text, limit in zip(texts, limits, strict=True)]


def _label_lanes(ax: Axes, clustering: Clustering, discs: Discs, unit: float) -> None:
    ticks, texts, last = [], [], -np.inf
    for label in np.argsort(discs.lanes).tolist():
        y, share = float(discs.lanes[label]), clustering.clusters[label].volume_share
        if (y - last) * unit >= tick_size() + 1:
            ticks.append(y)
            texts.append(f"{label}   {share_text(share)}")
            last = y
    ax.set_yticks(ticks, texts, fontsize=tick_size())
    words = "cluster and its share of the volume"
    long = len(words) * LETTER * label_size() > extent(ax)[1]
    ax.set_ylabel("cluster, share" if long else words)
