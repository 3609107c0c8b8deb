"""Weighted sums of values that are stacked along an axis, as a product with a matrix makes them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from clusterability.tracing.mixing import fills, is_stacked, reduced
from clusterability.tracing.operations.factors import by_constant
from clusterability.tracing.operations.registry import Call, Constant
from clusterability.tracing.operations.selections import selected
from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.places import are_copies
from clusterability.tracing.provenance import joined, moved
from clusterability.tracing.recurring import with_counts

MOST_SUMS = 64
"""Most weighted sums of one stack."""


def weighed(
    call: Call,
    reads: Value,
    constant: object,
    axis: int,
    *,
    n_outputs: int,
    out_axis: int | None,
    layout: str = "out-in",
    **how: Any,
) -> Value:
    """Return the product of a value and a matrix: of a stack sums, else a linear layer's output.

    Along a stack's axis lie values of several neurons each, which a matrix adds as a sum does, each
    neuron for itself; a layer would take each value for one neuron. A trained matrix with several
    outputs is a layer all the same, of few neurons. Arguments are those of :meth:`Call.weigh`.

    Raises:
        InputError: if the matrix is not constant, or makes too many sums.
    """
    found = taken(call, reads, constant, axis, out_axis, layout) if not how else None
    if found is not None:
        return found
    sums = isinstance(constant, Constant) and not (constant.is_trained and n_outputs > 1)
    if sums and how.get("groups", 1) == 1 and is_stack(reads, axis):
        assert isinstance(constant, Constant)
        if n_outputs > MOST_SUMS:
            raise call.refusal(f"it makes {n_outputs} sums of values that are stacked")
        added = _sums(reads, constant, axis, n_outputs, layout)
        return _arranged(call, added, out_axis)
    return call.weigh(
        reads,
        constant,
        axis,
        n_outputs=n_outputs,
        out_axis=out_axis,
        is_dense=True,
        layout=layout,
        **how,
    )


def taken(
    call: Call, reads: object, matrix: object, axis: int, out_axis: int | None, layout: str
) -> Value | None:
    """Return the product with a matrix of which each output takes one input, else None."""
    found = selected(reads, matrix, axis, layout) if isinstance(reads, Value) else None
    return None if found is None else _arranged(call, found, out_axis)


def is_stack(value: Value, axis: int) -> bool:
    """Whether values of several neurons each, or copies of one, lie along an axis."""
    axis = axis % len(value.shape)
    if any(t.origin.operation == INPUT for t in value.terms) or not fills(value, [axis]):
        return False
    if is_of_single(value):
        return False
    return is_stacked(value, [axis]) or any(are_copies(term, axis) for term in value.terms)


def is_of_single(value: Value) -> bool:
    """Whether each term holds one neuron at most."""
    return all(len(torch.unique(t.labels[t.labels > 0])) < 2 for t in value.terms)


def _sums(value: Value, constant: Constant, axis: int, n_outputs: int, layout: str) -> Value:
    """Return (..., n_outputs) sums over an axis."""
    n = value.shape[axis]
    rest = tuple(size for i, size in enumerate(value.shape) if i != axis % len(value.shape))
    last = moved([value], [value.shape], lambda x: x.movedim(axis, -1), (*rest, n))
    order = (1, 0) if layout == "in-out" and len(constant.shape) == 2 else None
    parts = []
    for j in range(n_outputs):
        row = constant.reshaped((n,), order, part=(j * n, (j + 1) * n))
        product = with_counts(by_constant(last, row, averages=True), [len(rest)])
        added = joined([reduced(product, [len(rest)], keepdim=False, how="counts")], rest)
        put = partial(_put, place=j, n=n_outputs)
        parts.append(moved([added], [rest], put, (*rest, n_outputs)))
    return joined(parts, (*rest, n_outputs))


def _put(labels: torch.Tensor, place: int, n: int) -> torch.Tensor:
    return torch.nn.functional.pad(labels.unsqueeze(-1), (place, n - 1 - place))


def _arranged(call: Call, sums: Value, out_axis: int | None) -> Value:
    def move(labels: torch.Tensor) -> torch.Tensor:
        turned = labels.squeeze(-1) if out_axis is None else labels.movedim(-1, out_axis)
        return turned.reshape(call.shape)

    return moved([sums], [sums.shape], move, call.shape)
