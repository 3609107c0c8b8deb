"""Numbers as they are printed, the same in text and figures."""

from __future__ import annotations

from clusterability.result import Clustering, NullDistribution
from clusterability.settings import Settings

LEVEL = 0.05
"""The level of significance that sentences speak of, always named with it."""


def p_text(p_value: float) -> str:
    """A p-value to two digits, or to more where two would put it on the wrong side of the level.

    >>> p_text(1 / 51), p_text(0.0503)
    ('0.02', '0.0503')
    """
    texts = (f"{p_value:.{n_digits}g}" for n_digits in range(2, 18))
    return next(text for text in texts if (float(text) <= LEVEL) == (p_value <= LEVEL))


def z_text(z_score: float) -> str:
    """A Z-score to one decimal, to two below 10.

    >>> z_text(-7.264), z_text(-26.38)
    ('-7.26', '-26.4')
    """
    return f"{z_score:.2f}" if abs(z_score) < 9.995 else f"{z_score:.1f}"


def share_text(share: float) -> str:
    """A share in percent, below 1 % rounded down so that it reads so, and never as 0.

    >>> share_text(0.241), share_text(0.00999), share_text(0.00002)
    ('24.1 %', '0.99 %', '<0.01 %')
    """
    if 0 < share < 1e-4:
        return "<0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{int(share * 1e4) / 100:.2f} %"


def effect_text(effect: float | None) -> str:
    """An effect in percent, to one decimal, to two below 1 %; a dash without shuffles.

    >>> effect_text(0.0497), effect_text(-0.0012), effect_text(None)
    ('5.0 %', '-0.12 %', '-')
    """
    if effect is None:
        return "-"
    return f"{100 * effect:.2f} %" if abs(effect) < 0.00995 else f"{100 * effect:.1f} %"


def bound_name(*settings: Settings) -> str:
    """What the lower bound is called: it bounds n-cuts without an offset to the volumes."""
    has_offset = any(each.volume_offset for each in settings)
    return "lower bound at offset 0" if has_offset else "lower bound"


def null_text(null: NullDistribution | None, sign: str = "+-") -> str:
    """Mean and standard deviation of the shuffles' n-cuts, or a dash without shuffles."""
    return f"{null.mean:.3f} {sign} {null.std:.3f}" if null else "-"


def n_at_or_below(clustering: Clustering) -> int:
    """How many shuffles have an n-cut at or below the network's: r of p = (r + 1) / (n + 1).

    It is taken from the p-value, so that it agrees with it in the last digit; 0 without shuffles.
    """
    if clustering.null is None or clustering.p_value is None:
        return 0
    return round(clustering.p_value * (len(clustering.null.values) + 1)) - 1
