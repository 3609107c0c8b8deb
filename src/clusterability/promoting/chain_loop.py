"""The compiled loop of :mod:`.chain`: one pass over the rows of a kernel."""

from __future__ import annotations

import numpy as np

from clusterability.compiling import compiled


@compiled(reorder=True)
def normalize_rows(  # type: ignore[no-untyped-def]
    kernel, bias, before, after, squares, target, has_bias, with_bias, is_slip
):
    n_runs, n_out, n_in = kernel.shape
    one = target / target  # in the precision of the kernel, as a literal would not be
    for run in range(n_runs):
        factors = before[run]
        for j in range(n_out):
            row = kernel[run, j]
            total = target - target
            for i in range(n_in):
                weight = row[i] * factors[i]
                total += weight * weight
            total *= squares[run]
            if has_bias and with_bias:
                total += bias[run, j] * bias[run, j]
            size = np.sqrt(total) / target
            if not size < np.inf:  # the squares overflow, the norm may not
                wide = np.float64(0)
                for i in range(n_in):
                    wide += (np.float64(row[i]) * factors[i]) ** 2
                wide *= squares[run]
                if has_bias and with_bias:
                    wide += np.float64(bias[run, j]) ** 2
                size = kernel.dtype.type(np.sqrt(wide) / target)
            inverse = one / size if size > 0 else one
            for i in range(n_in):
                row[i] *= factors[i] * inverse
            if has_bias:
                bias[run, j] *= inverse
            after[run, j] = size if size > 0 or is_slip else one
