"""A drawing of the adjacency matrix, sorted by cluster."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from clusterability.display.style import GRAY, LABEL_SIZE, TICK_SIZE, TITLE_SIZE, cluster_color
from clusterability.graph import NeuronGraph
from clusterability.report.grouping import require_graph, sum_by_group
from clusterability.result import Clusterability

N_BINS = 600


def plot_adjacency(result: Clusterability, ax: Axes) -> None:
    """Draw the adjacency matrix with its neurons sorted by cluster, and by layer in a cluster.

    Beyond 600 neurons a pixel shows the mean strength between several neurons. The means are summed
    block by block, without an N x N array. Isolated neurons are left out. Colored bars along two
    sides show the clusters.

    Raises:
        InputError: if the result has no graph.

    >>> from matplotlib.figure import Figure
    >>> from clusterability import measure, toy
    >>> result = measure(toy.planted_mlp(), n_clusters=2, n_shuffles=0)
    >>> plot_adjacency(result, Figure().add_subplot())
    """
    graph, labels = require_graph(result), result.labels
    positions = positions_by_cluster(labels)
    n_shown = int((labels >= 0).sum())
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
    _mark_clusters(ax, np.bincount(labels[labels >= 0], minlength=len(result.clusters)))
    ax.set_anchor("NW")
    ax.set_title("Adjacency matrix, sorted by cluster", fontsize=TITLE_SIZE, loc="left")
    per_pixel = n_shown / len(image)
    averaged = f"; a pixel: mean of {per_pixel:.1f} x {per_pixel:.1f}" if per_pixel > 1 else ""
    order = "by cluster, then by layer" if len(graph.layers) > 1 else "by cluster"
    ax.set_xlabel(f"{n_shown:,} neurons {order}{averaged}", fontsize=LABEL_SIZE)


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


def _mark_clusters(ax: Axes, sizes: NDArray[np.int64]) -> None:
    n_shown = int(sizes.sum())
    ends = np.cumsum(sizes)
    width, line = 0.022 * n_shown, 0.4 if len(sizes) <= 20 else 0.15
    for label, (size, end) in enumerate(zip(sizes.tolist(), ends.tolist(), strict=True)):
        color, start = cluster_color(label), end - size
        ax.add_patch(Rectangle((-1.5 * width, start), width, size, color=color, linewidth=0))
        ax.add_patch(Rectangle((start, -1.5 * width), size, width, color=color, linewidth=0))
        if end < n_shown:
            ax.axhline(end, color=GRAY, linewidth=line, alpha=0.7)
            ax.axvline(end, color=GRAY, linewidth=line, alpha=0.7)
    ax.set_xlim(-1.7 * width, n_shown)
    ax.set_ylim(n_shown, -1.7 * width)
    legible = [label for label, size in enumerate(sizes.tolist()) if size > 0.03 * n_shown]
    centers = [float(ends[label] - sizes[label] / 2) for label in legible]
    ax.set_yticks(centers, [str(label) for label in legible])
    ax.set_xticks([])
    ax.tick_params(length=0, labelsize=TICK_SIZE)
    ax.spines[:].set_visible(False)
    ax.set_ylabel("cluster", fontsize=LABEL_SIZE)
