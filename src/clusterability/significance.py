"""An observed statistic against its null distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TIE = 1e-9
"""n-cuts closer than this are equal: one partition summed in another order."""


def p_value(observed: float, null: Sequence[float]) -> float | None:
    """Left one-sided Monte Carlo p-value (r + 1) / (n + 1), r the values at or below the observed.

    Source: North, Curtis and Sham (2002). The published code counted strictly below. None if
    there are no values.

    >>> p_value(1.0, [1.0, 2.0, 3.0])
    0.5
    """
    if len(null) == 0:
        return None
    at_or_below = int(np.count_nonzero(np.asarray(null) <= observed + TIE))
    return (at_or_below + 1) / (len(null) + 1)


def effect(observed: float, null: Sequence[float]) -> float | None:
    """(mean - observed) / mean of the null: by which share it lies above the observed value.

    Z says how sure it is that there is a difference, and grows as the null's spread shrinks; the
    effect says how large the difference is. None if there are no values, or their mean is 0.

    >>> effect(1.0, [2.0, 6.0])
    0.75
    """
    if len(null) == 0 or (mean := float(np.mean(null))) <= TIE:
        return None
    return (mean - observed) / mean


def z_score(observed: float, null: Sequence[float]) -> float | None:
    """(observed - mean) / std with ddof 0; None if there is no spread.

    >>> z_score(1.0, [2.0, 4.0])
    -2.0
    """
    if len(null) == 0 or (std := float(np.std(null))) <= TIE:
        return None
    return (observed - float(np.mean(null))) / std
