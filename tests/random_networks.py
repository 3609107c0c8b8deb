"""Random feed-forward networks, drawn by hypothesis step by step so that shapes always fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import random_steps as steps
from random_steps import Draw
from step_modules import WEIGHTS, Register

MOST_CHANNELS = 10
MOST_FEATURES = 60
MOST_PIXELS = 30

Condition = Callable[..., bool]
Kind = tuple[Callable[..., steps.Step], Condition]
"""What makes a step, and what it can read (one register or two)."""
Part = tuple[str, tuple[int, ...], nn.Module]
"""Kind of a step, the numbers of the tensors that it reads, and the step."""


def channels(register: Register) -> bool:
    return register.has_channels


def no_image(register: Register) -> bool:
    """Flattened pixels of the input could be neurons of their own: left to other tests."""
    return register.image == "none"


def many(register: Register) -> bool:
    return register.per_neuron and register.shape[0] >= 2


def small_map(register: Register) -> bool:
    return register.has_channels and register.n_pixels <= MOST_PIXELS


def alike(first: Register, second: Register) -> bool:
    """Can be added: same shape and neurons, and the input's channels are on both sides or none."""
    same = first.shape == second.shape and first.per_neuron and second.per_neuron
    return same and first.image == second.image != "some"


def with_image(first: Register, second: Register) -> bool:
    """Outputs of weights, and the input or outputs to which it was added already."""
    same = first.shape == second.shape and first.per_neuron and second.per_neuron
    return same and first.image == "none" != second.image


def stackable(first: Register, second: Register) -> bool:
    same = first.shape[1:] == second.shape[1:] and first.has_channels == second.has_channels
    most = MOST_CHANNELS if first.has_channels else MOST_FEATURES
    return same and first.shape[0] + second.shape[0] <= most


KINDS: dict[str, Kind] = {
    "linear": (steps.linear, lambda r: not r.has_channels),
    "conv1d": (steps.conv, lambda r: len(r.shape) == 2),
    "conv2d": (steps.conv, lambda r: r.is_map),
    "grouped_conv": (steps.grouped_conv, channels),
    "depthwise_conv": (steps.depthwise_conv, lambda r: channels(r) and r.shape[0] <= 5),
    "transposed_conv1d": (steps.transposed_conv, lambda r: len(r.shape) == 2 and small_map(r)),
    "transposed_conv2d": (steps.transposed_conv, lambda r: r.is_map and small_map(r)),
    "channels_last_linear": (steps.channels_last_linear, channels),
    "squeeze_excite": (steps.squeeze_excite, lambda r: channels(r) and no_image(r)),
    "dense_to_image": (steps.dense_to_image, lambda r: not r.has_channels),
    "batch_norm": (steps.batch_norm, lambda r: r.per_neuron),
    "layer_scale": (steps.layer_scale, lambda r: r.per_neuron),
    "activation": (steps.activation, lambda _: True),
    "dropout": (steps.dropout, lambda _: True),
    "max_pool": (steps.max_pool, channels),
    "avg_pool": (steps.avg_pool, channels),
    "adaptive_pool": (steps.adaptive_pool, channels),
    "upsample": (steps.upsample, small_map),
    "pad": (steps.pad, small_map),
    "crop": (steps.crop, lambda r: r.has_channels and r.shape[-1] > 1),
    "transpose": (steps.transpose, lambda r: r.is_map),
    "fold_pixels": (steps.fold_pixels, lambda r: r.is_map),
    "unfold_pixels": (steps.unfold_pixels, lambda r: len(r.shape) == 2),
    "flatten": (steps.flatten, lambda r: channels(r) and no_image(r)),
    "spatial_mean": (steps.spatial_mean, channels),
    "channel_mean": (steps.channel_mean, lambda r: channels(r) and no_image(r)),
    "chunk": (steps.chunk, many),
    "split": (steps.split, many),
    "channel_slice": (steps.channel_slice, many),
    "channel_shuffle": (steps.channel_shuffle, lambda r: many(r) and r.shape[0] % 2 == 0),
    "add": (steps.add, alike),
    "subtract": (steps.subtract, alike),
    "gate": (steps.gate, lambda a, b: alike(a, b) and no_image(a)),
    "concatenate": (steps.concatenate, stackable),
}
"""Every kind of step that the naive twin follows too."""

MORE_KINDS: dict[str, Kind] = {
    "pixel_norm": (steps.pixel_norm, lambda r: not r.per_neuron and no_image(r)),
    "add_image": (steps.add_image, with_image),
    "depthwise": (steps.depthwise, lambda r: r.is_map),
    "constant_channels": (steps.constant_channels, lambda r: r.shape[0] < MOST_CHANNELS),
}
"""Steps that the naive twin does not follow."""

TWO_INPUTS = ("add", "subtract", "gate", "concatenate", "add_image")
WITH_WEIGHTS = tuple(KINDS)[: tuple(KINDS).index("batch_norm")]


class RandomNetwork(nn.Module):
    """Steps that each read one or two earlier tensors; 0 is the network's input.

    Attributes:
        kinds: of the steps, in order.
        reads: for each step, the numbers of the tensors that it reads.
        result: what is known of the last step's output, which is the network's.
        also_returned: numbers of tensors that are outputs too, after the last step's.
    """

    also_returned: tuple[int, ...] = ()

    def __init__(self, input_shape: tuple[int, ...], parts: list[Part]) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.kinds = tuple(kind for kind, _, _ in parts)
        self.reads = tuple(reads for _, reads, _ in parts)
        self.steps = nn.ModuleList(module for _, _, module in parts)
        self.result = Register(input_shape)

    def forward(self, image: Tensor) -> Any:
        tensors = [image]
        for reads, step in zip(self.reads, self.steps, strict=True):
            tensors.append(step(*(tensors[number] for number in reads)))
        if self.also_returned:
            return tensors[-1], *(tensors[number] for number in self.also_returned)
        return tensors[-1]

    def extra_repr(self) -> str:
        return f"input {self.input_shape}, reads {self.reads}"

    def example(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randn(1, *self.input_shape, generator=generator, dtype=torch.float64)


@st.composite
def random_networks(
    draw: Draw,
    wanted: str | Sequence[str] = (),
    n_steps: tuple[int, int] = (5, 9),
    more: Mapping[str, Kind] | None = None,
) -> RandomNetwork:
    """A network in evaluation, float64, of generic weights; all of its steps lead to its output.

    Args:
        draw: given by hypothesis.
        wanted: kinds of steps that it must have.
        n_steps: fewest and most, before its ends are brought together.
        more: kinds beside ``KINDS``; those wanted of them read channels of one neuron each.
    """
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    kinds = KINDS | dict(more or {})
    shapes = ((4, 4, 3), (4, 3, 4)) if more is not None else ((2, 4, 4), (2, 5), (4,), (4, 3, 4))
    shape = draw(st.sampled_from(shapes))
    registers = [Register(shape, "all", () if len(shape) > 1 else (1,) * shape[0])]
    parts: list[Part] = []
    if more is not None:
        parts.append(added_step(draw, registers, kinds, "depthwise", (0,)))
        for kind in wanted:
            parts += appended(draw, registers, kinds, kind)
    for _ in range(steps.small(draw, *n_steps)):
        parts.append(drawn_step(draw, registers, kinds, missing(wanted, parts)))
    if wanted or draw(st.booleans()):
        parts += gathered(draw, registers, parts)
    while n_weights(parts) < 2:
        kind = "linear" if len(registers[-1].shape) == 1 else "channels_last_linear"
        parts.append(added_step(draw, registers, kinds, kind, (len(registers) - 1,)))
    network = RandomNetwork(shape, live(parts))
    assume(not missing(wanted, parts))
    network.result = registers[-1]
    return generic(network)


def missing(wanted: Sequence[str], parts: list[Part]) -> list[str]:
    return [kind for kind in wanted if kind not in [name for name, _, _ in parts]]


def partners(
    registers: list[Register], kinds: Mapping[str, Kind], kind: str, reader: int
) -> list[tuple[int, ...]]:
    """What a step of a kind can read, the reader first."""
    fits = kinds[kind][1]
    if kind not in TWO_INPUTS:
        return [(reader,)] if fits(registers[reader]) else []
    return [(reader, i) for i, other in enumerate(registers) if fits(registers[reader], other)]


def drawn_step(
    draw: Draw, registers: list[Register], kinds: Mapping[str, Kind], wanted: Sequence[str]
) -> Part:
    last = len(registers) - 1
    # Mostly the newest tensor, so that few steps lead nowhere.
    reader = draw(st.sampled_from((last, last, last, *range(last))))
    found = {kind: partners(registers, kinds, kind, reader) for kind in (*KINDS, *wanted)}
    possible = [kind for kind, reads in found.items() if reads]
    # First a sort of step, then one of that sort: weights and joins are few among the kinds.
    sorts = [
        [kind for kind in possible if kind in WITH_WEIGHTS],
        [kind for kind in possible if kind in TWO_INPUTS],
        [kind for kind in possible if kind not in WITH_WEIGHTS + TWO_INPUTS],
    ]
    if any(kind in wanted for kind in possible):
        sorts = [[kind for kind in possible if kind in wanted]]
    kind = draw(st.sampled_from(draw(st.sampled_from([part for part in sorts if part]))))
    return added_step(draw, registers, kinds, kind, draw(st.sampled_from(found[kind])))


def appended(
    draw: Draw, registers: list[Register], kinds: Mapping[str, Kind], kind: str
) -> list[Part]:
    """A step of a kind on channels that hold one neuron each, or on a line or features of them.

    After a weight that joins all to all, nobody would see an operation move them.
    """
    added: list[Part] = []
    reader = 1
    for adapter in ("", "fold_pixels", "flatten", "spatial_mean"):
        if adapter:
            added.append(added_step(draw, registers, kinds, adapter, (1,)))
            reader = len(registers) - 1
        reads = partners(registers, kinds, kind, reader)
        if reads:
            return [*added, added_step(draw, registers, kinds, kind, reads[0])]
    raise AssertionError(f"nothing fits {kind}")


def added_step(
    draw: Draw,
    registers: list[Register],
    kinds: Mapping[str, Kind],
    kind: str,
    reads: tuple[int, ...],
) -> Part:
    inputs = [registers[number] for number in reads]
    module, register = kinds[kind][0](draw, *inputs)
    examples = [torch.zeros(1, *register.shape) for register in inputs]
    shape = tuple(module.eval()(*examples).shape[1:])
    pixels = register.pixels
    if len(shape) == 1 and sum(pixels) != shape[0]:
        pixels = (1,) * shape[0]
    registers.append(replace(register, shape=shape, pixels=pixels))
    return kind, reads, module


def gathered(draw: Draw, registers: list[Register], parts: list[Part]) -> list[Part]:
    """Steps that bring everything that no step reads to one end, and sometimes a linear layer."""
    read = {number for _, reads, _ in parts for number in reads}
    ends = [number for number in range(len(registers)) if number not in read]
    added = []
    for i, end in enumerate(ends):
        if registers[end].has_channels and len(ends) > 1:
            added.append(added_step(draw, registers, KINDS, "spatial_mean", (end,)))
            ends[i] = len(registers) - 1
    for end in ends[1:]:
        added.append(added_step(draw, registers, KINDS, "concatenate", (ends[0], end)))
        ends[0] = len(registers) - 1
    if len(ends) > 1 and draw(st.booleans()):
        added.append(added_step(draw, registers, KINDS, "linear", (ends[0],)))
    return added


def n_weights(parts: list[Part]) -> int:
    return sum(isinstance(m, WEIGHTS) for _, _, step in live(parts) for m in step.modules())


def live(
    parts: list[Part],
) -> list[Part]:
    """The steps that the last one needs, renumbered."""
    needed = {len(parts)}
    for number in range(len(parts), 0, -1):
        if number in needed:
            needed |= set(parts[number - 1][1])
    order = sorted(needed | {0})
    new = {number: i for i, number in enumerate(order)}
    return [
        (kind, tuple(new[read] for read in reads), module)
        for kind, reads, module in (parts[number - 1] for number in order if number)
    ]


def generic(network: RandomNetwork) -> RandomNetwork:
    """Weights without zeros or coincidences, and batch norms that have seen data."""
    generator = torch.Generator().manual_seed(0)
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            signs = torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1
            sizes = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) + 0.2
            parameter.copy_(signs * sizes)
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 2, generator=generator)
    return network


def each_drawn(n_examples, *arguments, **how):
    """Networks drawn by hypothesis, the same in every run."""
    drawn = []

    @settings(
        max_examples=n_examples,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def draw(data):
        drawn.append(data.draw(random_networks(*arguments, **how)))

    draw()
    assert drawn
    return drawn
