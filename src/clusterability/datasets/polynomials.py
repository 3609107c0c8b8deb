"""Regression of 512 polynomials of two variables (appendix A.7 of Filan et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Parts, Split
from clusterability.datasets.streams import TEST, TRAIN, published_stream, stream

MONOMIALS = tuple((a, b) for a in range(3) for b in range(3))
"""Exponents (a, b) of x^a y^b; polynomial ``i`` has the j-th monomial if bit j of ``i`` is 1."""


def make_polynomials(seed: int, _: Sequence[Dataset]) -> Parts:
    """Return 60,000 training and 10,000 test points, with the 512 polynomials as targets."""
    train, test = (stream(seed, "polynomials", part) for part in (TRAIN, TEST))
    return _points(train, 60_000), _points(test, 10_000)


def make_published_polynomials(_seed: int, _: Sequence[Dataset]) -> Parts:
    """Return the points of the published runs, which NumPy's old generator drew from seed 42."""
    rng = published_stream()
    train, test = (rng.normal(size=(n, 2)).astype(np.float32) for n in (60_000, 10_000))
    return Split(train, polynomials(train)), Split(test, polynomials(test))


def _points(rng: np.random.Generator, n: int) -> Split:
    x = rng.standard_normal((n, 2), dtype=np.float32)
    return Split(x, polynomials(x))


def polynomials(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values (n, 512) of all sums of the nine monomials at points (n, 2).

    >>> polynomials(np.float32([[2, 3]]))[0, [0b1, 0b10, 0b11, 0b100000000]]
    array([ 1.,  3.,  4., 36.], dtype=float32)
    """
    values = np.zeros((len(x), 2 ** len(MONOMIALS)), np.float32)
    # Each monomial doubles the number of polynomials: those without it, and those with it.
    for j, (a, b) in enumerate(MONOMIALS):
        monomial = x[:, 0] ** a * x[:, 1] ** b
        np.add(values[:, : 2**j], monomial[:, None], out=values[:, 2**j : 2 ** (j + 1)])
    return values
