"""A matrix by its non-zero entries, as the Chebyshev filter reads it."""

import numpy as np

from clusterability.spectral.filtering import SparseFactor
from clusterability.vectors import WIDTH


def factor_of(matrix):
    """Return the factor of a float32 matrix."""
    rows, columns = (
        (
            np.append(0, np.cumsum(np.count_nonzero(side, axis=1))),
            (WIDTH * side.nonzero()[1]).astype(np.uint32),
            side[side.nonzero()],
        )
        for side in (matrix, matrix.T)
    )
    return SparseFactor(rows, columns)
