"""Layers, the blocks of strengths that join them, and the checks of a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.arguments import text, whole
from clusterability.errors import InputError
from clusterability.shown import described, quoted, shown

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Layer:
    """A named group of neurons. A channel of a convolution is one neuron.

    Attributes:
        name: of the layer.
        n_neurons: number of its neurons.
        neurons: a name for each neuron, as nodes of a graph have; None if they are only numbered.

    >>> from clusterability import toy
    >>> toy.star().layers[1]
    Layer(name='layer1', n_neurons=6)
    """

    name: str
    n_neurons: int
    neurons: tuple[str, ...] | None = field(default=None, repr=False)

    def select(self, kept: Tensor) -> Layer:
        """Return the layer with some of its neurons, where ``kept`` (n_neurons,) is True."""
        chosen = kept.nonzero().flatten().tolist()
        names = None if self.neurons is None else tuple(self.neurons[i] for i in chosen)
        return Layer(self.name, len(chosen), names)


@dataclass(frozen=True, eq=False)
class Part:
    """Where the columns of a block stand in another, as where a skip connection adds half a layer.

    Attributes:
        kernel: the other block's ``kernel``.
        columns: (n_target,) int64, for each column of the block that of the other, from the same
            source, of which it is a copy, perhaps scaled; -1 if that one is not there any more.

    >>> Part("fc1.weight", torch.tensor([2, 0])).columns.tolist()
    [2, 0]
    """

    kernel: str
    columns: Tensor


@dataclass(frozen=True, eq=False)
class Block:
    """Connection strengths between two layers, or among the neurons of one.

    Attributes:
        source: index of one layer.
        target: index of the other layer. If it is the same layer, ``strengths`` hold each pair of
            its neurons once, above the diagonal.
        strengths: (..., n_source, n_target), non-negative and finite. Leading axes, the same in
            all blocks, hold several graphs of one shape, as a batch of shuffles does.
        support: (n_source, n_target) bool, True where the architecture has a connection; that of a
            grouped convolution is block-diagonal. Strengths are 0 elsewhere. None means that all
            pairs are connected; in a block within one layer, all pairs above the diagonal.
        kernel: name of the weights that the strengths come from. A skip connection repeats a
            block: such copies have the same name.
        part: tells of a block that repeats another in part, or in another order, where its columns
            stand in that one.

    >>> from clusterability import toy
    >>> block = toy.star().blocks[0]
    >>> block.source, block.target, block.n_strengths
    (0, 1, 6)
    """

    source: int
    target: int
    strengths: Tensor
    support: Tensor | None = None
    kernel: str | None = None
    part: Part | None = None

    def __repr__(self) -> str:
        kernel = f", kernel={quoted(self.kernel)}" if self.kernel is not None else ""
        shape = tuple(self.strengths.shape)
        return f"Block(source={self.source}, target={self.target}, strengths {shape}{kernel})"

    @property
    def n_strengths(self) -> int:
        """Number of entries of one graph, zeros included."""
        return self.strengths.shape[-2] * self.strengths.shape[-1]


def above_diagonal(n_neurons: int, device: torch.device) -> Tensor:
    """Return an (n, n) bool mask of the places above the diagonal: each pair of neurons once."""
    return torch.ones(n_neurons, n_neurons, dtype=torch.bool, device=device).triu_(1)


def check_layer(layer: Layer) -> None:
    """Refuse a layer whose name is no string, or which has not a name for each neuron.

    Raises:
        InputError: that says what is wrong.
    """
    if not isinstance(layer, Layer):
        raise InputError(f"{described(layer)} is no layer; give Layer(name, n_neurons)")
    text("the name of a layer", layer.name)
    size = whole(f"n_neurons of layer {quoted(layer.name)}", layer.n_neurons, 0)
    names = layer.neurons
    if names is not None and not (
        isinstance(names, tuple) and len(names) == size and all(isinstance(n, str) for n in names)
    ):
        raise InputError(
            f"the neurons of layer {quoted(layer.name)} are {described(names)}, expected a tuple "
            f"of {size} strings, or None"
        )


def check_shared_scale(shared: object, n_neurons: int) -> None:
    """Refuse numbers of neurons' scales that are not one for each neuron, on the CPU.

    Raises:
        InputError: that says what is wrong.
    """
    if (
        not isinstance(shared, Tensor)
        or shared.dtype != torch.int64
        or tuple(shared.shape) != (n_neurons,)
        or shared.device.type != "cpu"
    ):
        found = described(shared)
        if isinstance(shared, Tensor):
            found = f"{shared.dtype} of shape {tuple(shared.shape)} on {shared.device}"
        raise InputError(
            f"shared_scale is {found}, expected a torch.int64 tensor on the CPU with a number for "
            f"each of {n_neurons} neurons"
        )


def as_strengths(array: NDArray[Any]) -> Tensor:
    """Return a NumPy array of floats as a tensor, copied only where torch cannot share it.

    Raises:
        InputError: if it holds no floats.
    """
    if array.dtype.kind != "f":
        raise InputError(f"a block holds {array.dtype}, not floats; convert it by .astype(float)")
    known = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.dtype(np.float64)
    if min(array.strides, default=0) < 0 or not array.flags.writeable or array.dtype != known:
        array = array.astype(known, order="C")
    return torch.from_numpy(array)


def check_block(block: Block, layers: tuple[Layer, ...]) -> None:
    """Refuse a block that does not fit its layers; its values are not looked at.

    Raises:
        InputError: if an index, a shape or a type is wrong.
    """
    for end in (block.source, block.target):
        if not 0 <= end < len(layers):
            raise InputError(f"a block names layer {end}, but there are {len(layers)} layers")
    strengths, support = block.strengths, block.support
    if not isinstance(strengths, Tensor) or strengths.layout != torch.strided:
        raise InputError(f"{block_name(block, layers)} must be a dense torch tensor")
    expected = (layers[block.source].n_neurons, layers[block.target].n_neurons)
    shape = tuple(strengths.shape)
    if shape[-2:] != expected:
        raise InputError(f"{block_name(block, layers)} has shape {shape}, expected {expected}")
    if 0 in expected:
        raise InputError(f"{block_name(block, layers)} is empty: a layer has no neurons")
    if 0 in shape:
        raise InputError(
            f"{block_name(block, layers)} has shape {shape}, a batch of no graphs; give one or more"
        )
    if strengths.dtype not in _FLOATS:
        raise InputError(f"{block_name(block, layers)} holds {strengths.dtype}, not floats")
    if support is not None and (
        not isinstance(support, Tensor)
        or support.dtype != torch.bool
        or tuple(support.shape) != expected
    ):
        found = (
            f"{support.dtype} of shape {tuple(support.shape)}"
            if isinstance(support, Tensor)
            else type(support).__name__
        )
        raise InputError(
            f"the support of {block_name(block, layers)} is {found}, "
            f"expected a torch.bool tensor of shape {expected}"
        )


def check_part(block: Block, wholes: Mapping[str, Block], layers: tuple[Layer, ...]) -> None:
    """Refuse a part whose columns are not those of a block of the graph with that kernel.

    Args:
        block: the part, or any other block.
        wholes: the first block of each kernel.
        layers: those of the graph.

    Raises:
        InputError: if they are not.
    """
    part, name = block.part, block_name(block, layers)
    if part is None:
        return
    columns = part.columns
    if (
        not isinstance(columns, Tensor)
        or columns.dtype != torch.int64
        or tuple(columns.shape) != (layers[block.target].n_neurons,)
        or columns.device.type != "cpu"
    ):
        raise InputError(
            f"the columns of which {name} is a part are {described(columns)}, expected a "
            f"torch.int64 tensor on the CPU with one for each of {layers[block.target].n_neurons} "
            "neurons"
        )
    whole_block = wholes.get(part.kernel)
    if whole_block is not None and (
        whole_block.source != block.source
        or int(columns.max()) >= whole_block.strengths.shape[-1]
        or int(columns.min()) < -1
    ):
        raise InputError(
            f"{name} is no part of the block with the kernel {quoted(part.kernel)}: it has another "
            "source, or a column that is not there"
        )


def check_values(block: Block, layers: tuple[Layer, ...]) -> None:
    """Refuse strengths that are not valid in a graph.

    Raises:
        InputError: if a strength is negative, NaN, infinite, or lies outside the support.
    """
    strengths, name = block.strengths.detach(), block_name(block, layers)
    if strengths.ndim != 2:
        raise InputError(
            f"{name} has shape {tuple(strengths.shape)}, a batch of graphs, expected one graph; "
            "measure each of them by itself"
        )
    if strengths.is_meta:
        raise InputError(f"{name} is on the device meta, which holds no values; load the weights")
    low, high = torch.aminmax(strengths)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinite strengths; repair the weights")
    if low < 0:
        raise InputError(
            f"{name} holds a negative strength ({float(low):.3g}); take absolute values"
        )
    if block.support is not None:
        _check_support(block, strengths, block.support, name)


def _check_support(block: Block, strengths: Tensor, support: Tensor, name: str) -> None:
    if block.source == block.target and bool(support.tril().any()):
        raise InputError(
            f"the support of {name} has entries on or below the diagonal, but a pair of neurons is "
            "kept once, above it; pass support.triu(1)"
        )
    outside = (strengths != 0) & ~support.to(strengths.device)
    if not bool(outside.any()):
        return
    row, column = outside.nonzero()[0].tolist()
    where = f"at row {row}, column {column}"
    if block.source == block.target and row >= column:
        raise InputError(
            f"{name} holds a strength {where}, on or below the diagonal, but a pair of neurons is "
            "kept once, above it; pass strengths.triu(1) of the symmetric matrix"
        )
    raise InputError(
        f"{name} holds a strength {where}, outside its support; set it to 0, or widen the support"
    )


def block_name(block: Block, layers: tuple[Layer, ...]) -> str:
    """Return the name of a block for messages."""
    source, target = (shown(layers[end].name) for end in (block.source, block.target))
    if block.source == block.target:
        return f"the block within '{source}'"
    return f"the block between '{source}' and '{target}'"
