"""Products with a constant matrix that takes neurons one by one, such as a diagonal one.

A weight operation joins neurons, by numbers that a training has found or that stand in a buffer. A
matrix that is no parameter, and of which each output takes one input at most, joins none: it moves
them, and multiplies each by a number, as a mask on a diagonal does; the identity changes nothing. A
trained matrix is a layer, whatever its numbers are now, unless it is made of a vector's, as
``torch.diag`` makes one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clusterability.tracing.operations.factors import by_constant
from clusterability.tracing.operations.registry import Constant
from clusterability.tracing.origins import Value
from clusterability.tracing.provenance import moved


def selected(value: Value, matrix: object, axis: int, layout: str) -> Value | None:
    """Return a value's product with a matrix if each output takes one input, else None.

    Args:
        value: (..., n_inputs, ...).
        matrix: (n_outputs, n_inputs), or (n_inputs, n_outputs).
        axis: of the value, along which its inputs lie; the outputs come last.
        layout: ``out-in`` or ``in-out``.
    """
    if not isinstance(matrix, Constant) or matrix.is_free or len(matrix.shape) != 2:
        return None
    rows = matrix.evaluate() if layout == "out-in" else matrix.evaluate().T
    pattern = rows
    if matrix.is_trained:  # of its zeros those count that stay, whatever the parameters are
        drawn = matrix.evaluate(drawn=True)
        pattern = drawn if layout == "out-in" else drawn.T
    n_outputs, n_inputs = rows.shape
    if n_inputs < 2 or not bool(((pattern != 0).sum(1) <= 1).all()):
        return None
    taken = (pattern != 0).int().argmax(1)
    rest = tuple(size for i, size in enumerate(value.shape) if i != axis % len(value.shape))

    def move(labels: Tensor) -> Tensor:
        return labels.movedim(axis, -1)[..., taken]

    chosen = moved([value], [value.shape], move, (*rest, n_outputs))
    numbers = rows[torch.arange(n_outputs), taken]
    if not matrix.is_trained and bool((numbers == 1).all()):
        return chosen
    order = None if layout == "out-in" else (1, 0)
    return by_constant(chosen, matrix.reshaped((n_outputs,), order, taken=tuple(taken.tolist())))
