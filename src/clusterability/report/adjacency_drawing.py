"""A drawing of the adjacency matrix, sorted by cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from clusterability.graph import NeuronGraph
from clusterability.report.grouping import require_graph, sum_by_group
from clusterability.report.panels import (
    axes_or_new,
    clustering_of,
    extent,
    fitting,
    label_size,
    palette,
    tick_size,
)
from clusterability.result import Clusterability

N_BINS = 600


def plot_adjacency(
    result: Clusterability,
    ax: Axes | None = None,
    *,
    refined: bool = False,
    colors: Sequence[str] | None = None,
    title: str | None = None,
    labels: bool = True,
) -> Axes:
    """Draw the adjacency matrix with its neurons sorted by cluster, and by layer in a cluster.

    Beyond 600 neurons a pixel shows the mean strength between several neurons. The means are summed
    block by block, without an N x N array. Isolated neurons are left out. Colored bars along two
    sides show the clusters, and an outline in the same color what is inside one.

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
    >>> plot_adjacency(result, Figure().add_subplot()).get_xlabel()
    '14 neurons by cluster, then by layer'
    """
    graph, clustering = require_graph(result), clustering_of(result, refined)
    ax, colors, found = axes_or_new(ax, labels), palette(colors), clustering.labels
    positions = positions_by_cluster(found)
    n_shown = int((found >= 0).sum())
    image = mean_strengths(graph, positions, n_shown)
    strengths = image[image > 0]
    top = float(np.quantile(strengths, 0.99)) if strengths.size else 1.0
    ax.imshow(
        image,
        cmap="Greys",
        norm=PowerNorm(0.5, vmin=0, vmax=top, clip=True),
        extent=(0, n_shown, n_shown, 0),
        aspect="equal",
    )
    sizes = np.bincount(found[found >= 0], minlength=len(clustering.clusters))
    _mark_clusters(ax, sizes, colors)
    ax.set_anchor("NW")
    ax.set_title("Adjacency matrix" if title is None else title, loc="left", parse_math=False)
    if labels:
        _label(ax, graph, sizes, len(image))
    else:
        ax.set_yticks([])
    return ax


def _label(ax: Axes, graph: NeuronGraph, sizes: NDArray[np.int64], n_pixels: int) -> None:
    n_shown, ends = int(sizes.sum()), np.cumsum(sizes)
    least = max(0.03, 1.2 * tick_size() / extent(ax)[1])
    legible = [label for label, size in enumerate(sizes.tolist()) if size > least * n_shown]
    centers = [float(ends[label] - sizes[label] / 2) for label in legible]
    ax.set_yticks(centers, [str(label) for label in legible], fontsize=tick_size())
    ax.set_ylabel("cluster")
    per_pixel = n_shown / n_pixels
    averaged = f"; a pixel: mean of {per_pixel:.1f} x {per_pixel:.1f}" if per_pixel > 1 else ""
    order = "by cluster, then by layer" if len(graph.layers) > 1 else "by cluster"
    short = f"{n_shown:,} neurons"
    ax.set_xlabel(
        fitting(ax, [f"{short} {order}{averaged}", f"{short} {order}", short], label_size())
    )


def positions_by_cluster(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each neuron's index in the sorted order, (n_neurons,); -1 for an isolated one."""
    connected = np.flatnonzero(labels >= 0)
    order = connected[np.argsort(labels[connected], kind="stable")]
    positions = np.full(len(labels), -1, dtype=np.int64)
    positions[order] = np.arange(len(order))
    return positions


def mean_strengths(
    graph: NeuronGraph, positions: NDArray[np.int64], n_shown: int
) -> NDArray[np.float64]:
    """Return the mean strength between the neurons of two bins, (n_bins, n_bins)."""
    n_bins = max(min(n_shown, N_BINS), 1)
    bins = np.where(positions >= 0, positions * n_bins // max(n_shown, 1), -1)
    image = np.zeros((n_bins, n_bins))
    for block in graph.blocks:
        rows = bins[graph.offsets[block.source] : graph.offsets[block.source + 1]]
        columns = bins[graph.offsets[block.target] : graph.offsets[block.target + 1]]
        part = sum_by_group(block, rows, columns, (n_bins, n_bins))
        image += part + part.T
    sizes = np.maximum(np.bincount(bins[bins >= 0], minlength=n_bins), 1)
    image /= np.outer(sizes, sizes)
    return image


def _mark_clusters(ax: Axes, sizes: NDArray[np.int64], colors: Sequence[str]) -> None:
    n_shown = int(sizes.sum())
    ends = np.cumsum(sizes)
    width, line = 0.022 * n_shown, 0.8 if len(sizes) <= 20 else 0.4
    for label, (size, end) in enumerate(zip(sizes.tolist(), ends.tolist(), strict=True)):
        color, start = colors[label % len(colors)], end - size
        ax.add_patch(Rectangle((-1.5 * width, start), width, size, color=color, linewidth=0))
        ax.add_patch(Rectangle((start, -1.5 * width), size, width, color=color, linewidth=0))
        # Lines across would look like strengths: only what is inside a cluster has an outline.
        outline: dict[str, Any] = {"fill": False, "edgecolor": color, "linewidth": line}
        ax.add_patch(Rectangle((start, start), size, size, **outline))
    ax.set_xlim(-1.7 * width, n_shown)
    ax.set_ylim(n_shown, -1.7 * width)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
