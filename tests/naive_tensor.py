"""A tensor whose elements know which weight operations' outputs they hold, and at what scale.

The model's own forward runs on it. Slow and plain on purpose: each element holds the number of a
:class:`naive_cells.Cell`; data movement moves these numbers, and arithmetic merges cells one pair
at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from naive_cells import IMAGE, Call, Record


class NaiveTensor(torch.Tensor):
    """Numbers of cells, (batch of 1, channels or features, pixels...)."""

    record: ClassVar[Record]

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = function.__name__.strip("_")
        rule = RULES.get(name)
        assert rule, f"the naive twin has no rule for {name}"
        with torch._C.DisableTorchFunctionSubclass():
            found = rule(cls.record, function, *args, **(kwargs or {}))
            for part in found if isinstance(found, tuple | list) else [found]:
                if isinstance(part, Tensor):
                    cls.record.note_positions(part)
            return wrapped(found)


def wrapped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.as_subclass(NaiveTensor)
    return tuple(wrapped(part) for part in value) if isinstance(value, tuple) else value


def run(model: nn.Module, image: Tensor) -> tuple[Record, Tensor]:
    """The model's forward pass, in evaluation, on cells; its record and its output's cells."""
    names = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
    record = NaiveTensor.record = Record(names)
    pixels = range(image.numel())
    numbers = [record.cell({(IMAGE, i): 1.0}, record.label(("image", i))) for i in pixels]
    was_training = model.training
    output = model.eval()(torch.tensor(numbers).reshape(image.shape).as_subclass(NaiveTensor))
    model.train(was_training)
    return record, output.as_subclass(Tensor)


def elementwise(numbers: Tensor, others: Tensor, join: Callable[[int, int], int]) -> Tensor:
    """``join`` of each pair of elements, run once for each pair that occurs."""
    n_others = int(others.max()) + 1
    pairs, places = (numbers * n_others + others).unique(return_inverse=True)
    joined = [join(*divmod(pair, n_others)) for pair in pairs.tolist()]
    return torch.tensor(joined)[places]


def scaled_by(record: Record, numbers: Tensor, factor: Tensor | float) -> Tensor:
    # A plain number would become float32.
    factor = factor if isinstance(factor, Tensor) else torch.tensor(factor, dtype=torch.float64)
    factors, which = factor.detach().abs().double().unique(return_inverse=True)
    scales = factors.tolist()
    return elementwise(numbers, which, lambda number, i: record.scaled(number, scales[i]))


def channel_cells(record: Record, numbers: Tensor) -> list[int]:
    """One cell a channel, for all its pixels."""
    rows = numbers.transpose(0, 1).flatten(1)
    if bool((rows == rows[:, :1]).all()):
        return rows[:, 0].tolist()
    return [record.pooled(row) for row in rows.tolist()]


# Rules: each takes the record, the function and the function's own arguments.


def moved(_record: Record, function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def passed(_record: Record, _function: Any, numbers: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return numbers


def padded(record: Record, function: Any, numbers: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Padding holds nothing, but is of its channel's neuron."""
    wider = function(numbers.double(), *args, **kwargs).long()
    labels = [record.cells[number].label for number in channel_cells(record, numbers)]
    empty = torch.tensor([record.cell({}, label) for label in labels])
    return torch.where(wider == 0, empty.reshape(-1, *[1] * (numbers.ndim - 2)), wider)


def pooled(record: Record, function: Any, numbers: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    shape = function(torch.empty(numbers.shape, device="meta"), *args, **kwargs).shape
    cells = torch.tensor(channel_cells(record, numbers))
    return cells.reshape(1, -1, *[1] * (numbers.ndim - 2)).expand(shape)


def averaged(record: Record, _function: Any, numbers: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    axes = kwargs.get("dim", args[0] if args else tuple(range(numbers.ndim)))
    axes = tuple(axis % numbers.ndim for axis in ((axes,) if isinstance(axes, int) else axes))
    others = tuple(axis for axis in range(numbers.ndim) if axis not in axes)
    rows = numbers.permute(*others, *axes).flatten(len(others))
    shape = [
        1 if i in axes else n
        for i, n in enumerate(numbers.shape)
        if i not in axes or kwargs.get("keepdim", args[1] if len(args) > 1 else False)
    ]
    cells = [record.averaged(row) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
    return torch.tensor(cells).reshape(shape)


def concatenated(record: Record, function: Any, parts: Any, dim: int = 0, **kwargs: Any) -> Tensor:
    """Parts may hold the same neurons, which are different neurons from here on."""
    relabeled = [relabel(record, part, i) for i, part in enumerate(parts)]
    return function(relabeled, dim, **kwargs)


def relabel(record: Record, numbers: Tensor, part: int) -> Tensor:
    def join(number: int, _: int) -> int:
        label = record.label(("part", part, record.cells[number].label))
        return record.cell(record.contributions(number), label) if number else 0

    return elementwise(numbers, torch.zeros_like(numbers), join)


def added(record: Record, _function: Any, first: Any, second: Any, **kwargs: Any) -> Tensor:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return first if isinstance(first, Tensor) else second
    assert not kwargs, "the naive twin knows no alpha"
    return elementwise(first, second, lambda a, b: record.merged(a, b, float.__add__))


def multiplied(record: Record, _function: Any, first: Any, second: Any) -> Tensor:
    cells = [isinstance(x, NaiveTensor) for x in (first, second)]
    if all(cells):
        return elementwise(first, second, lambda a, b: record.merged(a, b, max))
    return scaled_by(record, *((first, second) if cells[0] else (second, first)))


def divided(record: Record, _function: Any, first: Tensor, second: float | Tensor) -> Tensor:
    return scaled_by(record, first, 1 / second)


def batch_norm(
    record: Record,
    _function: Any,
    numbers: Tensor,
    running_mean: Tensor,  # noqa: ARG001
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,  # noqa: ARG001
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Tensor:
    assert not training
    scale = 1 / (running_var.detach().double() + eps).sqrt()
    scale = scale if weight is None else scale * weight.detach().double().abs()
    return scaled_by(record, numbers, scale.reshape(-1, *[1] * (numbers.ndim - 2)))


def linear(record: Record, _function: Any, numbers: Tensor, weight: Tensor, *_bias: Any) -> Tensor:
    columns = numbers.reshape(-1, numbers.shape[-1]).T.tolist()
    neurons: dict[Hashable, list[int]] = {}
    for i, column in enumerate(columns):
        neurons.setdefault(tuple(record.cells[n].label for n in column), []).append(i)
    pixels = list(neurons.values())
    inputs = [record.union(n for i in neuron for n in columns[i]) for neuron in pixels]
    shape = (*numbers.shape[:-1], weight.shape[0])
    call = Call(record.names[id(weight)], weight.detach(), True, 1, False, inputs, pixels)
    return produced(record, call, weight.shape[0]).expand(shape)


def convolution(
    record: Record, function: Any, numbers: Tensor, weight: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    transposed = "transpose" in function.__name__
    groups = kwargs.get("groups", args[4] if len(args) > 4 else 1)
    inputs = [record.contributions(number) for number in channel_cells(record, numbers)]
    meta = [x.to("meta").double() if isinstance(x, Tensor) else x for x in args]
    shape = function(
        torch.empty(numbers.shape, device="meta", dtype=torch.float64),
        weight.to("meta").double(),
        *meta,
        **kwargs,
    ).shape
    pixels = [[i] for i in range(len(inputs))]
    name = record.names[id(weight)]
    call = Call(name, weight.detach(), False, groups, transposed, inputs, pixels)
    cells = produced(record, call, shape[1])
    return cells.reshape(1, -1, *[1] * (numbers.ndim - 2)).expand(shape)


def produced(record: Record, call: Call, n_outputs: int) -> Tensor:
    """The call is recorded; one new cell for each of its outputs."""
    number = len(record.calls)
    record.calls.append(call)
    outputs = range(n_outputs)
    return torch.tensor([record.cell({(number, o): 1.0}, record.label(o)) for o in outputs])


def rules(rule: Callable[..., Any], names: str) -> dict[str, Callable[..., Any]]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Callable[..., Any]] = {
    **rules(convolution, "conv1d conv2d conv3d"),
    **rules(convolution, "conv_transpose1d conv_transpose2d conv_transpose3d"),
    **rules(linear, "linear"),
    **rules(batch_norm, "batch_norm"),
    **rules(added, "add radd sub rsub"),
    **rules(multiplied, "mul rmul"),
    **rules(divided, "div truediv"),
    **rules(concatenated, "cat concat"),
    **rules(averaged, "mean"),
    **rules(padded, "pad"),
    **rules(pooled, "max_pool1d max_pool2d avg_pool1d avg_pool2d interpolate"),
    **rules(pooled, "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d"),
    **rules(passed, "relu relu6 hardtanh sigmoid tanh gelu silu elu leaky_relu softplus hardswish"),
    **rules(passed, "dropout"),
    **rules(moved, "view reshape flatten permute transpose chunk split getitem unsqueeze"),
    **rules(moved, "squeeze expand contiguous movedim unflatten pixel_shuffle get dim size"),
}
