"""A drawing of the network by layer and cluster."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from clusterability.display.style import (
    GRAY,
    INK,
    LABEL_SIZE,
    TICK_SIZE,
    TITLE_SIZE,
    cluster_color,
    drawable,
)
from clusterability.graph import NeuronGraph
from clusterability.report.discs import Discs, joined_discs, place_discs
from clusterability.report.grouping import require_graph
from clusterability.report.numerals import share_text
from clusterability.result import Clusterability

WIDEST = 7.0
FAINTEST = 0.15
SMALLEST_AREA = 14.0
KEY_WIDTH = 480
ARC = 0.42
"""Width of the longest arc within a layer, in columns."""


def plot_network(result: Clusterability, ax: Axes) -> None:
    """Draw the network from left to right, with each cluster in its own lane.

    A disc stands for the neurons of one cluster in one layer, and its area for their number; in a
    network of up to 48 neurons a disc is one neuron. A line connects two discs, or an arc two discs
    of one layer; it is wider, the larger its share of the strength between the two layers or within
    the one. A line within a cluster has the cluster's color, a line between clusters is gray.
    Isolated neurons are left out. Modeled on figure 1 of Filan et al. (2021).

    Raises:
        InputError: if the result has no graph.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=0)
    >>> plot_network(result, Figure().add_subplot())
    """
    graph = require_graph(result)
    discs = place_discs(graph, result.labels, len(result.clusters))
    ax.set_xlim(-0.5, len(graph.layers) - 0.5)
    ax.set_ylim(discs.height, 0)
    extent = ax.get_window_extent()
    points_per_pixel = 72 / ax.figure.dpi
    unit = extent.height * points_per_pixel / discs.height
    column = extent.width * points_per_pixel / len(graph.layers)
    diameter = min(unit, 0.5 * column, 40.0)
    _draw_lines(ax, graph, discs, min(WIDEST, 0.5 * diameter), bend=min(0.6, diameter / unit))
    sizes = diameter**2 * discs.size / max(int(discs.size.max(initial=1)), 1)
    ax.scatter(
        discs.layer,
        discs.y,
        s=np.maximum(sizes, SMALLEST_AREA),
        c=[cluster_color(label) for label in discs.cluster.tolist()],
        edgecolors="white",
        linewidths=0.6,
        zorder=3,
    )
    _label_layers(ax, result, column)
    _label_lanes(ax, result, discs, unit)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_title("Network by cluster", fontsize=TITLE_SIZE, loc="left")
    if extent.width * points_per_pixel > KEY_WIDTH:
        one = "a neuron" if discs.size.max(initial=1) == 1 else "neurons, by area"
        key = f"disc: {one}; line: root of its share of the strength {_place(graph)}"
        key = f"{key} (gray: between clusters)"
        ax.set_title(key, fontsize=TICK_SIZE - 1, loc="right", color=INK)


def _place(graph: NeuronGraph) -> str:
    if len(graph.layers) == 1:
        return "between neurons"
    within = any(block.source == block.target for block in graph.blocks)
    return "between layers or in one" if within else "between two layers"


def _draw_lines(ax: Axes, graph: NeuronGraph, discs: Discs, widest: float, bend: float) -> None:
    joined = sorted(joined_discs(graph, discs), key=lambda one: one[2])
    if not joined:
        return
    largest = joined[-1][2]
    # The square root keeps weak connections visible; the faintest would only tint the background.
    widths = [(i, j, widest * (share / largest) ** 0.5) for i, j, share in joined]
    for within in (False, True):
        chosen = [
            (i, j, width)
            for i, j, width in widths
            if width > FAINTEST and (discs.cluster[i] == discs.cluster[j]) == within
        ]
        colors = [
            to_rgba(cluster_color(int(discs.cluster[i])), 0.75)
            if within
            else to_rgba(GRAY, 0.08 + 0.45 * width / widest)
            for i, _, width in chosen
        ]
        ax.add_collection(
            LineCollection(
                [connecting_curve(discs, i, j, bend) for i, j, _ in chosen],
                linewidths=[width for _, _, width in chosen],
                colors=colors,
                capstyle="butt",
                zorder=2 if within else 1,
            )
        )


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
    names = [drawable(layer.name, 18) for layer in result.layers]
    sizes = [layer.n_neurons - layer.n_isolated for layer in result.layers]
    longest = max(max(map(len, names)), 5)
    level = longest * 0.62 * TICK_SIZE < column
    # Slanted text takes about twice its height along the axis.
    step = 1 if level else max(1, int(np.ceil(2.2 * TICK_SIZE / column)))
    texts = [
        f"{name}\n{n:,}" if level else f"{name} ({n:,})"
        for name, n in zip(names, sizes, strict=True)
    ]
    ax.set_xticks(
        range(0, len(texts), step),
        texts[::step],
        fontsize=TICK_SIZE,
        parse_math=False,
        rotation=0 if level else 30,
        ha="center" if level else "right",
        rotation_mode="anchor" if not level else "default",
    )


def _label_lanes(ax: Axes, result: Clusterability, discs: Discs, unit: float) -> None:
    ticks, texts, last = [], [], -np.inf
    for label, (y, cluster) in enumerate(zip(discs.lanes.tolist(), result.clusters, strict=True)):
        if (y - last) * unit >= TICK_SIZE + 1:
            ticks.append(y)
            texts.append(f"{label}   {share_text(cluster.volume_share)}")
            last = y
    ax.set_yticks(ticks, texts, fontsize=TICK_SIZE)
    ax.set_ylabel("cluster and its share of the volume", fontsize=LABEL_SIZE)
