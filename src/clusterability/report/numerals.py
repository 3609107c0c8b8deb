"""Numbers as text, the same for the terminal and the figures."""

from __future__ import annotations

from clusterability.result import Clusterability, Clustering, NullDistribution
from clusterability.settings import Settings

LEVEL = 0.05
"""Significance level of the sentences about a result; every such sentence states it."""


def p_text(p_value: float) -> str:
    """Return a p-value with two digits, or more if rounding would move it across the level.

    >>> p_text(1 / 51), p_text(0.0503)
    ('0.02', '0.0503')
    """
    texts = (f"{p_value:.{n_digits}g}" for n_digits in range(2, 18))
    return next(text for text in texts if (float(text) <= LEVEL) == (p_value <= LEVEL))


def z_text(z_score: float) -> str:
    """Return a Z-score with one decimal, or two if it is below 10.

    >>> z_text(-7.264), z_text(-26.38)
    ('-7.26', '-26.4')
    """
    return f"{z_score:.2f}" if abs(z_score) < 9.995 else f"{z_score:.1f}"


def share_text(share: float) -> str:
    """Return a share in percent; below 1 % it is rounded down, and never printed as 0.

    >>> share_text(0.241), share_text(0.00999), share_text(0.00002)
    ('24.1 %', '0.99 %', '<0.01 %')
    """
    if 0 < share < 1e-4:
        return "<0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{int(share * 1e4) / 100:.2f} %"


def effect_text(effect: float | None) -> str:
    """Return an effect in percent with one decimal, or two below 1 %; a dash for None.

    >>> effect_text(0.0497), effect_text(-0.0012), effect_text(None)
    ('5.0 %', '-0.12 %', '-')
    """
    if effect is None:
        return "-"
    return f"{100 * effect:.2f} %" if abs(effect) < 0.00995 else f"{100 * effect:.1f} %"


def bound_name(*settings: Settings) -> str:
    """Return the name of the lower bound, which bounds n-cuts without ``volume_offset`` only."""
    has_offset = any(each.volume_offset for each in settings)
    return "lower bound at offset 0" if has_offset else "lower bound"


def null_text(null: NullDistribution | None, sign: str = "+-") -> str:
    """Return mean and standard deviation of the shuffles' n-cuts; a dash without shuffles."""
    return f"{null.mean:.3f} {sign} {null.std:.3f}" if null else "-"


def n_at_or_below(clustering: Clustering) -> int:
    """Return the number r of shuffles with an n-cut at or below the network's; 0 without shuffles.

    It is computed from p = (r + 1) / (n + 1), so that it always agrees with the printed p-value.
    """
    if clustering.null is None or clustering.p_value is None:
        return 0
    return round(clustering.p_value * (len(clustering.null.values) + 1)) - 1


def isolated_text(result: Clusterability) -> list[str]:
    """Return how many neurons are left out, and why; nothing if none is.

    >>> from clusterability import measure, toy
    >>> isolated_text(measure(toy.path(), n_clusters=2, n_shuffles=0))
    []
    """
    n_isolated = sum(layer.n_isolated for layer in result.layers)
    why = "isolated" if result.settings.scaling == "raw" else "on no path from input to output"
    return [f"{n_isolated:,} of them {why}"] if n_isolated else []


def graph_text(settings: Settings) -> list[str]:
    """Return in words how the graph differs from the raw one of all layers.

    >>> from clusterability import Settings
    >>> graph_text(Settings(scaling="canonical", layers="hidden"))
    ['canonical scaling', 'layers hidden']
    """
    scaling = [] if settings.scaling == "raw" else [f"{settings.scaling} scaling"]
    return scaling if settings.layers == "all" else [*scaling, f"layers {settings.layers}"]
