"""A series of results of one network, as of the checkpoints of a training, as a figure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clusterability.arguments import number, text
from clusterability.display.figure_files import ShownFigure
from clusterability.display.style import GRAY, INK, PLAIN, REFINED, drawable
from clusterability.errors import InputError
from clusterability.report.grouping import require_result
from clusterability.result import Clusterability, Clustering
from clusterability.shown import described, quoted

LAST_STEP = 10**15
"""Numbers in names beyond this are no steps: an axis could not tell them apart."""

SIDES: tuple[tuple[str, str, Callable[[Clusterability], Clustering]], ...] = (
    ("k-means", PLAIN, lambda result: result.plain),
    ("refined", REFINED, lambda result: result.refined),
)


def steps_of_names(names: Sequence[str]) -> list[int] | None:
    """Return the number by which names differ, which is the step of each; None if there is none.

    Names of a series differ in numbers alone. If several numbers differ, the last one counts whose
    values are all different, as ``step`` in ``epoch=2-step=600.ckpt``.

    >>> steps_of_names(["run1/ckpt_9.pt", "run1/ckpt_10.pt"])
    [9, 10]
    >>> steps_of_names(["first.pt", "last.pt"])
    """
    if len({re.sub(r"\d+", "0", name) for name in names}) > 1:
        return None
    columns = list(zip(*(re.findall(r"\d+", name) for name in names), strict=True))
    for column in reversed(columns):
        values = [int(digits) for digits in column]
        if len(set(values)) == len(names) > 1 and max(values) <= LAST_STEP:
            return values
    return None


def check_same_layers(result: Clusterability, first: Clusterability) -> None:
    """Refuse a result whose network has other layers than the first of its series.

    Raises:
        InputError: that names both.
    """
    sizes, expected = (
        [(layer.name, layer.n_neurons) for layer in each.layers] for each in (result, first)
    )
    if sizes != expected:
        place = next(
            (i for i, pair in enumerate(zip(sizes, expected, strict=False)) if pair[0] != pair[1]),
            min(len(sizes), len(expected)),
        )
        has, had = (
            f"{quoted(each[place][0])} of {each[place][1]:,} neurons"
            if place < len(each)
            else "none"
            for each in (sizes, expected)
        )
        raise InputError(
            f"{quoted(result.network)} is no network of the series of {quoted(first.network)}: its "
            f"layer {place} is {has}, where the first has {had}; give networks of one architecture"
        )


def plot_series(
    results: Sequence[Clusterability],
    steps: Sequence[float] | None = None,
    title: str | None = None,
) -> Figure:
    """Plot n-cut, effect and Z of several results of one network over their steps.

    The n-cuts stand beside the mean of their shuffles, with a band of one standard deviation.
    Without shuffles there is only the panel of n-cuts.

    Args:
        results: at least two, in order.
        steps: of each result; by default 1, 2, 3, ...
        title: of the figure; by default none.

    Raises:
        InputError: if the results are none, are of networks with different layers, fewer than two,
            or not as many as the steps.

    >>> from clusterability import measure, toy
    >>> results = [measure(toy.planted_mlp(between=b), 2, n_shuffles=3) for b in (0.5, 0.2, 0.1)]
    >>> len(plot_series(results, steps=[0, 100, 200]).axes)
    3
    """
    given: dict[str, object] = {"results": results, "steps": () if steps is None else steps}
    for name, value in given.items():
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise InputError(f"{name} is {described(value)}, expected a list of them")
    for result in results:
        require_result(result)
    places = _places(range(1, len(results) + 1) if steps is None else steps)
    if len(results) < 2 or len(places) != len(results):
        raise InputError(
            f"a series has {len(results)} results and {len(places)} steps, expected two or more, "
            "and a step for each; measure more checkpoints"
        )
    for result in results[1:]:
        check_same_layers(result, results[0])
    panels = [_plot_ncuts]
    if any(result.plain.null for result in results):
        panels += [_plot_effects, _plot_z_scores]
    figure = ShownFigure(figsize=(3.6 * len(panels), 3.0), layout="constrained")
    for plot, ax in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        plot(results, places, ax)
        ax.set_xlabel("checkpoint" if steps is None else "step")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        figure.suptitle(drawable(text("title", title), 90), color=INK, parse_math=False)
    return figure


def _places(steps: Sequence[float]) -> list[float]:
    found = steps.tolist() if hasattr(steps, "tolist") else steps  # arrays and tensors
    noun = "a number that an axis has room for,"
    return [number("a step", step, -LAST_STEP, below=LAST_STEP, noun=noun) for step in found]


def _plot_ncuts(results: Sequence[Clusterability], steps: Sequence[float], ax: Axes) -> None:
    for name, color, side in SIDES:
        clusterings = [side(result) for result in results]
        ax.plot(steps, [one.ncut for one in clusterings], ".-", color=color, label=name)
        means = np.array([one.null.mean if one.null else np.nan for one in clusterings])
        stds = np.array([one.null.std if one.null else np.nan for one in clusterings])
        if not np.isnan(means).all():
            ax.plot(steps, means, "--", color=color, linewidth=1, label=f"its shuffles, {name}")
            ax.fill_between(steps, means - stds, means + stds, color=color, alpha=0.2, linewidth=0)
    ax.set_ylabel("n-cut")
    ax.legend(frameon=False, fontsize="small")


def _plot_effects(results: Sequence[Clusterability], steps: Sequence[float], ax: Axes) -> None:
    for name, color, side in SIDES:
        effects = [side(result).effect for result in results]
        percent = [np.nan if effect is None else 100 * effect for effect in effects]
        ax.plot(steps, percent, ".-", color=color, label=name)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set_ylabel("effect (%)")


def _plot_z_scores(results: Sequence[Clusterability], steps: Sequence[float], ax: Axes) -> None:
    for name, color, side in SIDES:
        scores = [side(result).z_score for result in results]
        ax.plot(steps, [np.nan if z is None else z for z in scores], ".-", color=color, label=name)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set_ylabel("Z")
