"""The figure of a training: loss and accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from clusterability.display.figure_files import encoded
from clusterability.display.style import GRAY, INK, LABEL_SIZE, PLAIN, REFINED, TITLE_SIZE, drawable
from clusterability.training.record import EpochScores


def curves_png(rows: Sequence[EpochScores], title: str) -> bytes:
    """Return the figure of :func:`curves_figure` as a PNG file."""
    return encoded(curves_figure(rows, title), "curves.png")


def curves_figure(rows: Sequence[EpochScores], title: str) -> Figure:
    """Plot the losses, and the accuracies of a classification, over the epochs of both phases.

    The margins are fixed: to fit them, matplotlib would draw everything twice.
    """
    has_accuracy = any(row.train_accuracy is not None for row in rows)
    width = 9.0 if has_accuracy else 5.0
    figure = Figure(figsize=(width, 3.4))
    figure.subplots_adjust(0.85 / width, 0.14, 1 - 0.15 / width, 0.85, wspace=0.2)
    panels = figure.subplots(1, 2 if has_accuracy else 1, squeeze=False)[0]
    figure.suptitle(drawable(title, 90), fontsize=TITLE_SIZE, color=INK)
    _plot(panels[0], rows, "loss")
    if any((row.train_loss or 0) > 0 for row in rows):
        panels[0].set_yscale("log")
        lowest, highest = panels[0].get_ylim()
        shown = (1.0, 2.0, 5.0) if highest < 1e4 * lowest else (1.0,)
        panels[0].yaxis.set_major_locator(LogLocator(subs=shown))
        panels[0].yaxis.set_major_formatter("{x:g}")
        panels[0].yaxis.set_minor_formatter(NullFormatter())
    if has_accuracy:
        _plot(panels[1], rows, "accuracy")
    panels[-1].legend(fontsize=LABEL_SIZE, frameon=False)
    return figure


def _plot(axes: Axes, rows: Sequence[EpochScores], quantity: str) -> None:
    epochs = range(1, len(rows) + 1)
    for part, color in (("train", PLAIN), ("test", REFINED)):
        values = [getattr(row, f"{part}_{quantity}") for row in rows]
        if any(value is not None for value in values):
            label = "while training" if part == "train" else part
            marker = "." if len(rows) < 3 else None
            axes.plot(epochs, values, color=color, label=label, marker=marker)
    n_unpruned = sum(row.phase == "unpruned" for row in rows)
    if n_unpruned < len(rows):
        axes.axvline(n_unpruned + 0.5, color=GRAY, linewidth=0.8, linestyle="--")
        axes.annotate(
            "pruning",
            (n_unpruned + 0.5, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=LABEL_SIZE,
            color=GRAY,
        )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("epoch", fontsize=LABEL_SIZE)
    axes.set_ylabel(quantity, fontsize=LABEL_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
