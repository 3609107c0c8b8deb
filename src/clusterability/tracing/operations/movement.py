"""Rules for data movement: labels are moved as the network moves the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

import torch
from torch import Tensor

from clusterability.tracing.multiplying import multiplied
from clusterability.tracing.operations.cuts import cut, has_averages, rearranged
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import Term, Value
from clusterability.tracing.places import Places
from clusterability.tracing.provenance import joined, moved

_INDICES = ("index", "indices")

_RESHAPING = ("aten.view", "aten.reshape", "aten._unsafe_view")

MOST_ADDED = 64
"""Most elements that may be added at one place; each makes a term of its own."""


@rule(
    *("aten.view", "aten.reshape", "aten._unsafe_view", "aten.view_as", "aten.reshape_as"),
    *("aten.flatten", "aten.unflatten", "aten.ravel", "aten.squeeze", "aten.unsqueeze"),
    *("aten.permute", "aten.transpose", "aten.t", "aten.numpy_T", "aten.movedim", "aten.moveaxis"),
    *("aten.swapaxes", "aten.swapdims", "aten.mT", "aten.adjoint", "aten.roll", "aten.flip"),
    *("aten.rot90", "aten.expand", "aten.expand_as", "aten.repeat", "aten.tile"),
    *("aten.repeat_interleave", "aten.broadcast_to", "aten.stack", "aten.hstack"),
    *("aten.vstack", "aten.dstack", "aten.column_stack"),
    *("aten.index", "aten.gather", "aten.take", "aten.diagonal", "aten.pixel_shuffle"),
    *("aten.pixel_unshuffle", "aten.channel_shuffle"),
    *("aten.reflection_pad1d", "aten.reflection_pad2d", "aten.reflection_pad3d"),
    *("aten.replication_pad1d", "aten.replication_pad2d", "aten.replication_pad3d"),
    *("aten.slice_scatter", "aten.select_scatter", "aten.diagonal_scatter", "aten.unfold"),
    *("aten.tril", "aten.triu", "aten.diag_embed", "aten.fill_diagonal", "aten.mH"),
    *("aten.matrix_H", "aten.atleast_1d", "aten.atleast_2d", "aten.atleast_3d"),
    *("aten.block_diag", "aten.linalg_diagonal", "aten.im2col", "aten.upsample_nearest1d"),
    *("aten.upsample_nearest2d", "aten.upsample_nearest3d", "aten._upsample_nearest_exact1d"),
    *("aten._upsample_nearest_exact2d", "aten._upsample_nearest_exact3d"),
)
def movement(call: Call) -> Value:
    """Return one tensor, each element of which is constant or a copy of an input element."""
    if call.operation == "aten.fill_diagonal":
        return _moved(call, None, in_place=True, fill_value=0)
    if "dtype" in call.arguments and call.operation == "aten.view":
        raise call.refusal("it reads the bits of its input as another type; write to(dtype)")
    if call.operation in _RESHAPING and not has_averages(call.value("self")):
        return _reshaped(call)
    return _moved(call, None)


def _reshaped(call: Call) -> Value:
    """Return a tensor in another shape; its last axes may be those of the new shape too."""
    value, shape = call.value("self"), call.shape
    pairs = zip(reversed(value.shape), reversed(shape), strict=False)
    n_same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    first, new = len(value.shape) - n_same, shape[: len(shape) - n_same]

    def move(labels: Tensor) -> Tensor:
        return labels.reshape((*new, *labels.shape[first:]))

    return moved([value], [value.shape], move, shape, range(first))


@rule(
    *("aten.cat", "aten.concat", "aten.concatenate", "aten.slice", "aten.select"),
    *("aten.narrow", "aten.index_select"),
)
def along_an_axis(call: Call) -> Value:
    """Return one tensor that differs from its inputs along one axis only."""
    return _moved(call, None, along=_axis(call))


@rule(
    *("aten.split", "aten.split_with_sizes", "aten.chunk", "aten.unbind", "aten.tensor_split"),
    *("aten.unsafe_chunk", "aten.hsplit", "aten.vsplit", "aten.dsplit"),
)
def splitting(call: Call) -> tuple[Value, ...]:
    """Return the parts of a tensor along one axis."""
    axis = _axis(call) if "dim" in call.arguments else None
    return tuple(_moved(call, part, along=axis) for part in range(len(call.shapes)))


@rule("aten.pad", "aten.constant_pad_nd")
def padding(call: Call) -> Value:
    """Pad with a constant, which is no neuron, or by reflection or replication.

    A channel's padding belongs to the channel: where labels repeat along an axis, the padding
    repeats them too.
    """
    if call.arguments.get("mode", "constant") != "constant":
        return _moved(call, None)
    value, pads = call.value("self"), list(call["pad"])
    terms = []
    for term in value.terms:
        given, kept = term.labels, list(pads)
        for axis in range(-(len(pads) // 2), 0):
            if given.stride(axis) == 0 and given.shape[axis] > 1:
                given = given.narrow(axis, 0, 1)
                kept[-2 * axis - 2 : -2 * axis] = 0, 0
        labels = torch.nn.functional.pad(given, kept).expand(call.shape)
        terms.append(Term(labels, term.origin, _padded_places(term, pads)))
    return Value(call.shape, tuple(terms))


def _padded_places(term: Term, pads: list[int]) -> Places | None:
    if term.places is None:
        return None
    shape = term.labels.shape
    return Places(lambda x: torch.nn.functional.pad(x.expand(shape), pads), term.places)


@rule("aten.masked_scatter")
def marking(call: Call) -> Value:
    """Write elements one after another to where a constant mask says so."""
    if not isinstance(call["mask"], Constant):
        raise call.refusal("where it writes depends on the data; write torch.where instead")
    return _moved(call, None)


@rule("aten.index_put", "aten.scatter", "aten.index_copy", "aten.put")
def writing(call: Call) -> Value:
    """Write into a copy of a tensor, at constant places; what stood there counts no more."""
    if call.arguments.get("accumulate"):
        return _added_at(call)
    if call.arguments.get("reduce"):
        raise call.refusal("it multiplies or adds to what it overwrites; write scatter_add instead")
    is_number = "value" in call.arguments and not isinstance(call["value"], Value | Constant)
    return _moved(call, None, in_place=True, **({"value": 0} if is_number else {}))


@rule("aten.index_add", "aten.scatter_add", "aten.scatter_reduce")
def adding_at(call: Call) -> Value:
    """Add to a tensor at constant places, several elements at one place if it comes again."""
    return _added_at(call)


def _added_at(call: Call) -> Value:
    if call.arguments.get("reduce", "sum") != "sum" or not call.arguments.get("include_self", True):
        raise call.refusal("it takes more than sums at each place; write scatter_add instead")
    _check_indices(call)
    source = next(call[name] for name in ("source", "src", "values") if name in call.arguments)
    added = [call["self"]] if isinstance(call["self"], Value) else []
    if isinstance(source, Value):
        places = _places(call)
        sums = _put(call, _widened(call, source, places.shape), places)
        added += [multiplied(part, float(call.arguments.get("alpha", 1))) for part in sums]
    return joined(added, call.shape)


def _places(call: Call) -> Tensor:
    """Return the number of the place, in the flattened tensor, to which each element is added."""
    numbers = torch.arange(math.prod(call.shape)).view(call.shape)
    if call.operation == "aten.index_put":
        given = [slice(None) if i is None else i.evaluate() for i in call["indices"]]
        return numbers[tuple(given)]
    if call.operation == "aten.put":
        return numbers.take(call["index"].evaluate())
    index = call["index"].evaluate()
    if call.operation == "aten.index_add":
        return numbers.index_select(int(call["dim"]), index)
    return numbers.gather(int(call["dim"]), index)


def _widened(call: Call, source: Value, shape: Sequence[int]) -> Value:
    """Return what is added; that of ``index_put`` broadcasts, others take first elements."""
    return joined([source], shape) if call.operation == "aten.index_put" else source


def _put(call: Call, source: Value, places: Tensor) -> list[Value]:
    """Return a value for each time that a place comes again, which has it once."""
    flat = places.flatten()
    order = flat.argsort(stable=True)
    counts = flat.bincount(minlength=1)
    counts = counts[counts > 0]
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    times = torch.empty_like(flat)
    times[order] = torch.arange(len(flat)) - starts
    if len(counts) and int(counts.max()) > MOST_ADDED:
        raise call.refusal(f"it adds {int(counts.max())} elements at one place")

    def move(labels: Tensor, time: int) -> Tensor:
        own = labels[tuple(slice(size) for size in places.shape)].flatten()
        out = torch.zeros(math.prod(call.shape), dtype=torch.int64)
        out[flat[times == time]] = own[times == time]
        return out.view(call.shape)

    n_times = int(counts.max()) if len(counts) else 0
    return [
        moved([source], [source.shape], partial(move, time=time), call.shape)
        for time in range(n_times)
    ]


def _axis(call: Call) -> int:
    return int(call["dim"]) % len(call.values()[0].shape)


def _moved(
    call: Call,
    part: int | None,
    along: int | None = None,
    in_place: bool = False,
    **changed: object,
) -> Value:
    tensors = list(call.tensors())
    values = [tensor if isinstance(tensor, Value) else None for tensor in tensors]
    _check_indices(call)

    def move(*labels: Tensor) -> Tensor:
        inputs = [
            tensor.evaluate() if isinstance(tensor, Constant) and _is_index(tensor) else given
            for tensor, given in zip(tensors, labels, strict=True)
        ]
        if in_place:  # the labels of what is read stay as they are
            inputs = [given.clone(memory_format=torch.contiguous_format) for given in inputs]
        try:
            out = call.run(inputs, **changed)
        except (RuntimeError, NotImplementedError):  # some operations need floats
            inputs = [i.double() if i.dtype == torch.int64 else i for i in inputs]
            out = call.run(inputs, **changed)
        result: Tensor = out if part is None else out[part]
        return result.long()

    shapes: Sequence[Sequence[int]] = [tensor.shape for tensor in tensors]
    if any(map(has_averages, values)):
        values = [_with_averages(call, value, move, along) for value in values]
    return moved(values, shapes, move, call.shapes[part or 0], along)


def _with_averages(
    call: Call, value: Value | None, move: Callable[..., Tensor], along: int | None
) -> Value | None:
    """Return a value whose scales, means over pixels, are those of the pixels that go on."""
    if value is None or not has_averages(value):
        return value
    if along is None:
        return rearranged(call, value)
    if len(call.values()) > 1:
        return value

    def alone(places: Tensor) -> Tensor:
        tensors = call.tensors()
        return move(*(places if isinstance(t, Value) else torch.zeros(t.shape) for t in tensors))

    return cut(call, value, along, alone)


def _check_indices(call: Call) -> None:
    for name in _INDICES:
        argument = call.arguments.get(name)
        parts = argument if isinstance(argument, list | tuple) else [argument]
        if any(isinstance(index, Value) for index in parts):
            raise call.refusal("which elements it takes depends on the data")


def _is_index(constant: Constant) -> bool:
    return not constant.dtype.is_floating_point
