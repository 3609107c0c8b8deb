"""The paper's figures, drawn from what is finished."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from clusterability.datasets import load_dataset
from clusterability.datasets.mosaic import enlarge, mosaic, to_colors
from clusterability.display.style import (
    GRAY,
    INK,
    LABEL_SIZE,
    PLAIN,
    REFINED,
    TICK_SIZE,
    TITLE_SIZE,
)
from clusterability.experiments.comparing import finished_networks
from clusterability.experiments.plan import OTHER_NULL, n_runs_of
from clusterability.experiments.point_labels import Label, place_labels
from clusterability.experiments.records import Figure, Line, Table
from clusterability.experiments.store import Store
from clusterability.measuring import measure
from clusterability.report.numerals import p_text

TREATMENT_COLORS = ("#222222", "#0072b2", "#209060", "#d55e00", "#8d4fb3", "#b8860b", "#a0522d")
MARKERS = ("o", "X", "s", "^")

TITLE_WIDTH = 70
"""Letters that fit above the axes."""

MEAN_SIZE = 9.75
"""Width of the mark of a published mean, in points of a font."""


@dataclass(frozen=True)
class Drawn:
    """What a drawing is made from.

    Args:
        figure: the record.
        store: holds the results.
        reading: published or paper.
        n_runs: networks of each line; None for the paper's number.
        data_dir: where data sets lie.
    """

    figure: Figure
    store: Store
    reading: str
    n_runs: int | None
    data_dir: str | None


def draw(drawn: Drawn) -> matplotlib.figure.Figure | None:
    """Return the figure, or None if nothing of it is finished."""
    return DRAWINGS[drawn.figure.kind](drawn)


@dataclass(frozen=True)
class Point:
    """One network of a scatter figure."""

    x: float
    y: float
    p_value: float
    line: Line


def _scatter(drawn: Drawn) -> matplotlib.figure.Figure | None:
    """Draw one point a network, labeled with its p-value, and the published means as open marks."""
    points, means = _points(drawn), _published_means(drawn)
    if not points:
        return None
    lines = [line for _, lines in drawn.figure.needs for line in lines]
    looks = list(dict.fromkeys(_look(line, lines) for line in lines))
    sets = list(dict.fromkeys(line.dataset for line in lines))
    figure, ax = _axes(drawn.figure.heading)
    labels = []
    for point in points:
        color = _color(looks.index(_look(point.line, lines)))
        marker = MARKERS[sets.index(point.line.dataset) % len(MARKERS)]
        ax.scatter(point.x, point.y, s=34, color=color, marker=marker, alpha=0.85, lw=0)
        labels.append(Label(point.x, point.y, p_text(point.p_value), color))
    for x, y, line in means:
        color = _color(looks.index(_look(line, lines)))
        marker = MARKERS[sets.index(line.dataset) % len(MARKERS)]
        style: dict[str, Any] = {"facecolor": "none", "edgecolor": color, "lw": 1.2}
        ax.scatter(x, y, s=MEAN_SIZE**2, marker=marker, **style)
    ax.axhline(0, color=GRAY, lw=0.6, zorder=0)
    ax.set_xlabel("N-cut", fontsize=LABEL_SIZE)
    ax.set_ylabel("Z-score", fontsize=LABEL_SIZE)
    _legend(ax, looks, sets, bool(means))
    place_labels(ax, labels, TICK_SIZE - 2, [(x, y) for x, y, _ in means], MEAN_SIZE)
    return figure


def _color(i: int) -> str:
    return TREATMENT_COLORS[i % len(TREATMENT_COLORS)]


def _look(line: Line, lines: Sequence[Line]) -> str:
    """Return the treatment, and the phase if the figure has both."""
    phases = {other.phase for other in lines}
    return f"{line.treatment}, {line.phase}" if len(phases) > 1 else line.treatment


def _points(drawn: Drawn) -> list[Point]:
    points = []
    for table, lines in drawn.figure.needs:
        for line in lines:
            n_runs = n_runs_of(drawn.figure, drawn.n_runs)
            for network in finished_networks(table, line, drawn.store, drawn.reading, n_runs):
                plain = network.result.plain
                if plain.z_score is not None and plain.p_value is not None:
                    points.append(Point(plain.ncut, plain.z_score, plain.p_value, line))
    return points


def _published_means(drawn: Drawn) -> list[tuple[float, float, Line]]:
    """Return the published mean n-cut of each line, and its Z-score in the mean null."""
    found = []
    for table, lines in drawn.figure.needs:
        for line in lines:
            paper = table.published(line)
            if paper.get("null_std"):
                z_score = (paper["ncut"] - paper["null_mean"]) / paper["null_std"]
                found.append((paper["ncut"], z_score, line))
    return found


def _legend(ax: Axes, looks: Sequence[str], sets: Sequence[str], has_means: bool) -> None:
    handles = [
        Line2D([], [], marker="o", ls="", color=_color(i), label=look)
        for i, look in enumerate(looks)
    ]
    if len(sets) > 1:
        handles += [
            Line2D([], [], marker=MARKERS[i % len(MARKERS)], ls="", color=GRAY, label=name)
            for i, name in enumerate(sets)
        ]
    if has_means:
        open_marker: dict[str, Any] = {"mfc": "none", "mec": INK, "ms": 9}
        handles.append(Line2D([], [], marker="o", ls="", label="published mean", **open_marker))
    ax.legend(
        handles=handles,
        fontsize=TICK_SIZE,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
    )


def _new(drawn: Drawn) -> matplotlib.figure.Figure | None:
    """Draw the distributions of the n-cuts of new networks, and the published mean."""
    titles = {0: "ordinary initialization", 10: "clusterable initialization"}
    figure = matplotlib.figure.Figure(figsize=(9.6, 4.2), layout="constrained")
    figure.suptitle(drawn.figure.heading, fontsize=TITLE_SIZE + 1)
    is_empty = True
    axes, tasks = figure.subplots(1, 2), drawn.figure.about["new"]
    for ax, task, color in zip(axes, tasks, (PLAIN, REFINED), strict=True):
        ax.set_title(titles[task.n_tags], fontsize=LABEL_SIZE)
        ax.set_xlabel("N-cut", fontsize=LABEL_SIZE)
        ax.set_ylabel("Probability density", fontsize=LABEL_SIZE)
        ax.tick_params(labelsize=TICK_SIZE)
        if not task.n_tags:
            mean, std = drawn.figure.about["published"]
            ax.axvline(mean, color=INK, lw=1, label=f"published: {mean:.3f} ± {std:.3f}")
        found = task.ncuts(drawn.store)
        if found is not None:
            is_empty = False
            values = np.array(found["ncut"])
            _density(ax, values, color, f"ours: {values.mean():.3f} ± {values.std():.3f}")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=TICK_SIZE, frameon=False)
    return None if is_empty else figure


def _density(ax: Axes, values: Any, color: str, label: str) -> None:
    """Draw a histogram and a kernel density; of values that agree to rounding, a line."""
    span = np.ptp(values)
    if not span > 1e-9 * np.abs(values).max():
        ax.axvline(values.mean(), color=color, alpha=0.35, lw=3, label=label)
        return
    ax.hist(values, bins="auto", density=True, color=color, alpha=0.35, label=label)
    if len(values) > 2:
        from scipy.stats import gaussian_kde  # takes a second

        x = np.linspace(values.min() - 0.2 * span, values.max() + 0.2 * span, 200)
        ax.plot(x, gaussian_kde(values)(x), color=color, lw=1.3)


def _nulls(drawn: Drawn) -> matplotlib.figure.Figure | None:
    """Draw the last network of each line against its two null distributions."""
    cells = [(table, line) for table, lines in drawn.figure.needs for line in lines]
    figure = matplotlib.figure.Figure(figsize=(9.2, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    is_empty = True
    treatments = ("None", "Dropout")
    sets = list(dict.fromkeys(line.dataset for _, line in cells))
    for table, line in cells:
        ax = axes[treatments.index(line.treatment), sets.index(line.dataset)]
        is_empty &= not _draw_nulls(drawn, table, line, ax)
    figure.suptitle(drawn.figure.heading, fontsize=TITLE_SIZE + 1)
    return None if is_empty else figure


def _draw_nulls(drawn: Drawn, table: Table, line: Line, ax: Axes) -> bool:
    """Draw one network, and return whether there is one."""
    n_runs = n_runs_of(drawn.figure, drawn.n_runs)
    networks = finished_networks(table, line, drawn.store, drawn.reading, n_runs)
    ax.set_title(f"{line.dataset}, {line.treatment.lower()}", fontsize=LABEL_SIZE)
    ax.tick_params(labelsize=TICK_SIZE)
    ax.set_xlabel("N-cut", fontsize=LABEL_SIZE)
    ax.set_ylabel("Probability density", fontsize=LABEL_SIZE)
    if not networks:
        return False
    last = networks[-1]
    spec = line.spec_of(drawn.reading, last.seed)
    settings = replace(table.settings(drawn.reading, last.seed), null=OTHER_NULL)
    other = drawn.store.measurement(spec, line.phase, settings)
    for result, color, label in (
        (last.result, PLAIN, "layer"),
        (other, REFINED, "layer-nonzero"),
    ):
        if result is not None and result.plain.null is not None:
            _density(ax, np.array(result.plain.null.values), color, label)
    ax.axvline(last.result.plain.ncut, color="black", lw=1.3)
    ax.legend(fontsize=TICK_SIZE, frameon=False)
    return True


def _network(drawn: Drawn) -> matplotlib.figure.Figure | None:
    """Draw the sheet of the first network; its graph is in no file, so it is measured again."""
    ((table, (line,)),) = drawn.figure.needs
    networks = finished_networks(table, line, drawn.store, drawn.reading, 1)
    run = drawn.store.run(line.spec_of(drawn.reading, 0))
    if not networks or run is None:
        return None
    settings = networks[0].result.settings
    name, most = networks[0].name, drawn.figure.max_epochs
    if most is not None:
        name += f" (at most {most} + {most} epochs)"
    result = measure(run.network(line.phase), name=name, workers=1, **settings.choices())
    return result.plot()


def _samples(drawn: Drawn) -> matplotlib.figure.Figure:
    """Draw ten images of one class of each data set, a row each."""
    about = drawn.figure.about
    rows = []
    for name in about["datasets"]:
        train = load_dataset(name, data_dir=drawn.data_dir).train
        chosen = np.flatnonzero(train.y == about["label"])[:10]
        rows.append(enlarge(to_colors(train.x[chosen]), 28))
    picture = mosaic(rows, 10, 2)
    height = 6.2 * picture.shape[0] / picture.shape[1] + 0.5
    figure = matplotlib.figure.Figure(figsize=(7.4, height), layout="constrained")
    ax = figure.subplots()
    ax.imshow(picture, interpolation="nearest")
    ax.set_xticks([])
    centers = (np.arange(len(rows)) + 0.5) * picture.shape[0] / len(rows)
    ax.set_yticks(centers, about["datasets"], fontsize=TICK_SIZE)
    ax.tick_params(length=0)
    ax.set_title(drawn.figure.heading, fontsize=TITLE_SIZE)
    return figure


def _axes(title: str) -> tuple[matplotlib.figure.Figure, Axes]:
    figure = matplotlib.figure.Figure(figsize=(8.4, 4.8), layout="constrained")
    ax = figure.subplots()
    ax.set_title(textwrap.fill(title, TITLE_WIDTH), fontsize=TITLE_SIZE)
    ax.tick_params(labelsize=TICK_SIZE)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return figure, ax


DRAWINGS: dict[str, Callable[[Drawn], matplotlib.figure.Figure | None]] = {
    "scatter": _scatter,
    "new": _new,
    "nulls": _nulls,
    "network": _network,
    "samples": _samples,
}
"""How each kind of figure is drawn."""
