"""Linear layers written as a product with a matrix, element by element, and a sum."""

from __future__ import annotations

import math

from clusterability.tracing.mixing import fills, is_stacked
from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.operations.factors import aligned, is_mask
from clusterability.tracing.operations.registry import Call, Constant, numbers
from clusterability.tracing.operations.stacks import is_of_single, is_stack, taken, weighed
from clusterability.tracing.origins import INPUT, Product, Value
from clusterability.tracing.provenance import joined, moved


def reduced_axes(call: Call) -> list[int]:
    """Return the axes that a reduction takes together, counted from the first."""
    n_axes = len(call.values()[0].shape)
    dim = call.arguments.get("dim")
    return list(range(n_axes)) if dim is None or dim == [] else [d % n_axes for d in numbers(dim)]


def product_with_matrix(call: Call) -> Value | None:
    """Return the output of the linear layer that a sum or a mean over one axis completes, if any.

    In ``(h.unsqueeze(1) * weight).sum(-1)`` the values that are summed are a product whose one
    factor is constant, with a row for each output.

    Raises:
        InputError: if it sums products with a matrix in any other form.
    """
    product = call.values()[0]
    if not isinstance(product, Product):
        return None
    value, constant = product.value, product.constant
    assert isinstance(constant, Constant)
    mine, other = aligned(value.shape, product.shape), aligned(constant.shape, product.shape)
    axes = reduced_axes(call)
    inputs = [axis for axis in axes if other[axis] > 1 and not _fills(value, mine, axis)]
    outputs = [i for i, size in enumerate(other) if size > 1 and i not in axes]
    if not inputs:
        if len(axes) == 1 and not outputs and _are_single(value, mine, axes[0]):
            return _weighed(call, value, constant, axes[0], outputs)
        of_one = len(axes) == len(outputs) == 1 and mine[outputs[0]] == 1 and other[axes[0]] > 1
        return _of_stack(call, product, axes[0], outputs[0]) if of_one else None
    if not outputs and is_mask(constant):
        return None  # a statistic of the neurons that it leaves
    if not outputs and (len(axes) > 1 or not _is_line(value, mine, axes[0])):
        return None  # several neurons of one place, such as layers that are averaged
    followed = len(axes) == 1 and (not outputs or (len(outputs) == 1 and mine[outputs[0]] == 1))
    if not followed:
        raise call.refusal(
            "it sums products of neurons with a constant, in a form that cannot be taken for a "
            "linear layer; write torch.nn.Linear, or torch.matmul with a matrix"
        )
    return _weighed(call, value, constant, axes[0], outputs)


def _weighed(call: Call, value: Value, constant: Constant, axis: int, outputs: list[int]) -> Value:
    n_axes = len(call.values()[0].shape)
    n_inputs = call.values()[0].shape[axis]
    out_first = not outputs or outputs[0] < axis
    n_outputs = math.prod(constant.shape) // n_inputs
    shape = (n_outputs, n_inputs) if out_first else (n_inputs, n_outputs)
    place = None
    if outputs:
        shifted = axis < outputs[0] and not call.arguments.get("keepdim")
        place = outputs[0] - shifted
    matrix, layout = constant.reshaped(shape), "out-in" if out_first else "in-out"
    out = taken(call, value, matrix, axis - n_axes, place, layout) if outputs else None
    if out is None:
        out = call.weigh(
            value,
            matrix,
            axis - n_axes,
            n_outputs=n_outputs,
            out_axis=place,
            is_dense=True,
            layout=layout,
        )
    return multiplied(out, 1 / n_inputs) if call.operation == "aten.mean" else out


def _of_stack(call: Call, product: Product, axis: int, output: int) -> Value | None:
    """Return the sums of a stack, one for each place along an axis that it does not have itself."""
    whole = tuple(1 if i == output else size for i, size in enumerate(product.shape))
    kept = (*whole[:output], *whole[output + 1 :])
    reads = moved([joined([product.value], whole)], [whole], lambda x: x.squeeze(output), kept)
    if not is_stack(reads, axis - (output < axis)):
        return None
    n_inputs, n_outputs = product.shape[axis], product.shape[output]
    shape = (n_outputs, n_inputs) if output < axis else (n_inputs, n_outputs)
    out = weighed(
        call,
        reads,
        product.constant.reshaped(shape),
        axis - (output < axis),
        n_outputs=n_outputs,
        out_axis=output - (axis < output),
        layout="out-in" if output < axis else "in-out",
    )
    return multiplied(out, 1 / n_inputs) if call.operation == "aten.mean" else out


def _fills(value: Value, sizes: tuple[int, ...], axis: int) -> bool:
    """Whether one neuron fills an axis of what a value broadcasts to; inputs are neurons."""
    if sizes[axis] == 1:
        return True
    own = axis - len(sizes)
    return fills(value, [own]) and all(t.origin.operation != INPUT for t in value.terms)


def _are_single(value: Value, sizes: tuple[int, ...], axis: int) -> bool:
    """Whether outputs of several operations, a neuron each, lie beside each other along an axis."""
    own = axis - len(sizes)
    is_along = sizes[axis] > 1 and is_stacked(value, [own % len(value.shape)])
    return is_along and is_of_single(value)


def _is_line(value: Value, sizes: tuple[int, ...], axis: int) -> bool:
    """Whether neurons differ along one axis only; examples of a batch are the same neurons."""
    return all(_fills(value, sizes, i) for i in range(1, len(sizes)) if i != axis)
