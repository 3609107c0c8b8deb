"""Curves of training: loss, accuracy and sparsity by epoch, as CSV and as a figure."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clusterability.display.figure_files import encoded
from clusterability.display.style import GRAY, INK, LABEL_SIZE, PLAIN, REFINED, TITLE_SIZE, drawable
from clusterability.training.record import EpochScores


def curves_csv(rows: Sequence[EpochScores]) -> str:
    """Return a line for each epoch; a field is empty where there is no number."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(EpochScores)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])
    return text.getvalue()


def curves_png(rows: Sequence[EpochScores], title: str) -> bytes:
    """Return the figure of :func:`curves_figure` as a PNG file."""
    return encoded(curves_figure(rows, title), "curves.png")


def curves_figure(rows: Sequence[EpochScores], title: str) -> Figure:
    """Plot the losses, and the accuracies of a classification, over the epochs of both phases."""
    has_accuracy = any(row.train_accuracy is not None for row in rows)
    figure = Figure(figsize=(9.0 if has_accuracy else 5.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 2 if has_accuracy else 1, squeeze=False)[0]
    figure.suptitle(drawable(title, 90), fontsize=TITLE_SIZE, color=INK)
    _plot(panels[0], rows, "loss")
    if any((row.train_loss or 0) > 0 for row in rows):
        panels[0].set_yscale("log")
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
    axes.set_xlabel("epoch", fontsize=LABEL_SIZE)
    axes.set_ylabel(quantity, fontsize=LABEL_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
