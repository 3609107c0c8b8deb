"""A drawing of a regression's targets over the plane of its two inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset
from clusterability.datasets.polynomials import MONOMIALS
from clusterability.display.style import GRAY, INK, LABEL_SIZE, TICK_SIZE

N_ROWS, N_COLUMNS = 2, 5
N_POINTS = 4_000
# Nearly all normally distributed points lie within these limits.
NORMAL: dict[str, Any] = {
    **{"xlim": (-3, 3), "ylim": (-3, 3), "xticks": (-2, 0, 2), "yticks": (-2, 0, 2)},
    "aspect": "equal",
}
# Most of these polynomials have one or two terms, so that the monomials can be recognized.
CHOSEN = (
    *(0b000000010, 0b000000100, 0b000001000, 0b000010000, 0b100000000),
    *(0b001000100, 0b000001010, 0b000110001, 0b010001100, 0b111111111),
)


def draw_plane(figure: Figure, dataset: Dataset) -> None:
    """Draw ten targets at the first training points, one a panel; blue below zero, red above."""
    y = dataset.train.y
    is_polynomials = dataset.name == "polynomials" and y.shape[1] == 2 ** len(MONOMIALS)
    n_panels = min(N_ROWS * N_COLUMNS, y.shape[1])
    chosen = CHOSEN if is_polynomials else range(n_panels)
    grid = figure.add_gridspec(
        *(N_ROWS, N_COLUMNS),
        left=0.045,
        right=0.945,
        top=0.82,
        bottom=0.05,
        wspace=0.42,
        hspace=0.25,
    )
    for i, target in enumerate(chosen):
        ax = figure.add_subplot(grid[divmod(i, N_COLUMNS)])
        name = formula(target) if is_polynomials else f"target {target}"
        ax.locator_params(nbins=3)
        ax.set(**(NORMAL if is_polynomials else {}))
        _draw(ax, dataset.train.x[:N_POINTS], y[:N_POINTS, target], name)


def _draw(ax: Axes, x: NDArray[Any], values: NDArray[Any], name: str) -> None:
    # The few outermost points have the largest values; they do not set the range of colors.
    bound = float(np.quantile(np.abs(values), 0.95)) or 1.0
    style: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
    points = ax.scatter(x[:, 0], x[:, 1], c=values, s=5, linewidths=0, rasterized=True, **style)
    ax.set_title(name, fontsize=LABEL_SIZE, color=INK, pad=4)
    ax.tick_params(labelsize=TICK_SIZE, color=GRAY, labelcolor=GRAY, length=2)
    ax.set_facecolor("#ebebeb")
    ax.spines[:].set_visible(False)
    inset = ax.inset_axes((1.04, 0.0, 0.05, 1.0))
    bar = ax.figure.colorbar(points, cax=inset, extend="both", ticks=(-bound, 0, bound))
    bar.ax.set_yticklabels([f"\N{MINUS SIGN}{bound:.2g}", "0", f"{bound:.2g}"])
    bar.ax.tick_params(labelsize=TICK_SIZE - 1, length=0, labelcolor=GRAY)
    bar.outline.set_visible(False)


def formula(polynomial: int) -> str:
    """Return the polynomial with this index, the column of its targets, in matplotlib's notation.

    >>> formula(0b10010)
    '$y + xy$'
    """
    exponents = [MONOMIALS[j] for j in range(len(MONOMIALS)) if polynomial >> j & 1]
    exponents.sort(key=lambda powers: (sum(powers), -powers[0]))
    if len(exponents) == len(MONOMIALS):
        return "all nine monomials"
    terms = [_power("x", a) + _power("y", b) or "1" for a, b in exponents]
    return f"${' + '.join(terms) or '0'}$"


def _power(variable: str, exponent: int) -> str:
    return ("", variable, f"{variable}^{exponent}")[exponent]
