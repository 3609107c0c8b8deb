"""Comparison of an observed statistic with its null distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TIE = 1e-9
"""n-cuts closer than this count as equal: they may differ by the order of their sums alone."""


def p_value(observed: float, null: Sequence[float]) -> float | None:
    """Return the left one-sided Monte Carlo p-value (r + 1) / (n + 1).

    r is the number of the n values at or below the observed one; the published code counted values
    strictly below. Returns None if there are no values. Source: North, Curtis and Sham (2002).

    >>> p_value(1.0, [1.0, 2.0, 3.0])
    0.5
    """
    if len(null) == 0:
        return None
    at_or_below = int(np.count_nonzero(np.asarray(null) <= observed + TIE))
    return (at_or_below + 1) / (len(null) + 1)


def effect(observed: float, null: Sequence[float]) -> float | None:
    """Return the effect (mean - observed) / mean, with the mean of the null.

    The effect is the size of the difference; Z grows as the null's spread shrinks, even where the
    difference is small. Returns None if there are no values, or their mean is 0.

    >>> effect(1.0, [2.0, 6.0])
    0.75
    """
    if len(null) == 0 or (mean := float(np.mean(null))) <= TIE:
        return None
    return (mean - observed) / mean


def z_score(observed: float, null: Sequence[float]) -> float | None:
    """Return (observed - mean) / std, std with ddof 0; None if the null has no spread.

    >>> z_score(1.0, [2.0, 4.0])
    -2.0
    """
    if len(null) == 0 or (std := float(np.std(null))) <= TIE:
        return None
    return (observed - float(np.mean(null))) / std
