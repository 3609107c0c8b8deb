"""The graph of a network: layers of neurons, joined by blocks of connection strengths.

No N x N array is ever formed: degrees and products run block by block, on the device where the
strengths live, and are differentiable in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph.blocks import (
    Block,
    Layer,
    above_diagonal,
    as_strengths,
    check_block,
    check_layer,
    check_part,
    check_shared_scale,
    check_values,
)
from clusterability.graph.products import matmul, row_and_column_sums, transposed_matmul
from clusterability.shown import described, listed

if TYPE_CHECKING:
    import networkx
    import scipy.sparse


@dataclass(frozen=True, eq=False)
class NeuronGraph:
    """A weighted undirected graph whose vertices are neurons, kept as blocks between layers.

    Neurons are numbered layer by layer. The adjacency matrix A holds every block twice, once on
    either side of the diagonal. Several blocks may join the same two layers; their strengths add
    up. A block U within one layer lies above the diagonal and adds U + U' to A. Blocks with leading
    axes make a batch: one graph for each index along these axes, which are the same in all blocks.

    Source: section 1.1 of Filan et al. (2021).

    Attributes:
        layers: the layers, in the order of their neurons' numbers.
        blocks: the strengths between them.
        shared_scale: (n_neurons,) int64: neurons of one number have one factor where hidden neurons
            are rescaled, as skip connections want it, and those of -1 keep their scale. If it is
            None, copies of a block tell which these are.

    Raises:
        InputError: if a block does not fit its layers or the other blocks. The strengths' values
            are checked by :meth:`check_strengths`.

    >>> from clusterability import toy
    >>> toy.two_triangles().degrees()
    tensor([2., 2., 3., 3., 2., 2.])
    """

    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    _flat: Tensor | None = field(default=None, repr=False)
    shared_scale: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for layer in self.layers:
            check_layer(layer)
        for block in self.blocks:
            check_block(block, self.layers)
        if any(b.source == b.target and b.support is None for b in self.blocks):
            object.__setattr__(self, "blocks", tuple(map(_add_support, self.blocks)))
        parts = [block for block in self.blocks if block.part is not None]
        wholes = {b.kernel: b for b in reversed(self.blocks) if b.kernel} if parts else {}
        for part in parts:
            check_part(part, wholes, self.layers)
        if self.shared_scale is not None:
            check_shared_scale(self.shared_scale, self.n_neurons)
        devices = {block.strengths.device for block in self.blocks}
        if len(devices) > 1:
            listed = ", ".join(sorted(map(str, devices)))
            raise InputError(f"blocks lie on several devices ({listed}); move them to one")
        batches = {tuple(block.strengths.shape[:-2]) for block in self.blocks}
        if len(batches) > 1:
            listed = " and ".join(map(str, sorted(batches)))
            raise InputError(
                f"blocks have different leading axes, {listed}; a batch of graphs has the same "
                "leading axes in all blocks"
            )

    def __repr__(self) -> str:
        layers = listed([f"{layer.name} ({layer.n_neurons})" for layer in self.layers])
        batch = f", batch of {self.batch_shape}" if self.batch_shape else ""
        return (
            f"NeuronGraph({self.n_neurons:,} neurons, {len(self.blocks)} blocks of "
            f"{self.n_strengths:,} strengths{batch}; layers {layers})"
        )

    @classmethod
    def chain(
        cls, strengths: Sequence[Tensor | NDArray[Any]], names: Sequence[str] | None = None
    ) -> NeuronGraph:
        """Build a chain of layers, each joined to the next.

        Args:
            strengths: one (..., n_source, n_target) tensor or NumPy array a block, in order;
                leading axes, the same in all, make a batch of graphs.
            names: one name a layer; by default ``layer0``, ``layer1``, ...

        Raises:
            InputError: if the blocks do not fit each other, or the names do not fit them.
        """
        given: object = strengths
        if isinstance(given, np.ndarray | Tensor) or not isinstance(given, Iterable):
            raise InputError(
                f"a chain is a list of blocks of strengths, got {described(given)}; pass [block]"
            )
        tensors = [as_strengths(b) if isinstance(b, np.ndarray) else b for b in strengths]
        if not tensors:
            raise InputError("a chain needs at least one block of strengths, got none")
        for block in tensors:
            if not hasattr(block, "ndim"):
                kind = type(block).__name__
                raise InputError(f"a block must be a tensor, got {kind}; use torch.as_tensor")
            if block.ndim < 2:
                raise InputError(f"a block must be at least 2-D, got shape {tuple(block.shape)}")
        sizes = [tensors[0].shape[-2], *(block.shape[-1] for block in tensors)]
        names = names if names is not None else [f"layer{i}" for i in range(len(sizes))]
        if len(names) != len(sizes):
            raise InputError(
                f"{len(tensors)} blocks join {len(sizes)} layers, got {len(names)} names"
            )
        layers = tuple(Layer(name, size) for name, size in zip(names, sizes, strict=True))
        blocks = tuple(Block(i, i + 1, block) for i, block in enumerate(tensors))
        return cls(layers, blocks)

    @classmethod
    def unchecked(cls, layers: tuple[Layer, ...], blocks: tuple[Block, ...]) -> NeuronGraph:
        """Build a graph without checking it, for inner loops whose blocks are known to fit.

        Args:
            layers: as for the graph itself.
            blocks: as for the graph itself; a block within one layer must have a support.
        """
        graph = object.__new__(cls)
        graph.__dict__.update(layers=layers, blocks=blocks, _flat=None, shared_scale=None)
        return graph

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Index of each layer's first neuron, followed by the number of neurons."""
        return tuple(accumulate((layer.n_neurons for layer in self.layers), initial=0))

    @property
    def layer_sizes(self) -> list[int]:
        return [layer.n_neurons for layer in self.layers]

    @property
    def n_neurons(self) -> int:
        return self.offsets[-1]

    @property
    def n_strengths(self) -> int:
        """Number of entries of all blocks of one graph, zeros included."""
        return sum(block.n_strengths for block in self.blocks)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading axes of all blocks; () for one graph."""
        return tuple(self.blocks[0].strengths.shape[:-2]) if self.blocks else ()

    @property
    def device(self) -> torch.device:
        return self.blocks[0].strengths.device if self.blocks else torch.device("cpu")

    def degrees(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return d_i = sum_j A_ij, shape (..., n_neurons), added up in ``dtype``."""
        parts: list[Tensor | None] = [None] * len(self.layers)
        for block in self.blocks:
            sums = row_and_column_sums(block.strengths, dtype or block.strengths.dtype)
            for layer, part in zip((block.source, block.target), sums, strict=True):
                so_far = parts[layer]
                parts[layer] = part if so_far is None else so_far + part
        return self._concatenate(parts, -1)

    def product(self, vectors: Tensor) -> Tensor:
        """Return A @ vectors, for vectors of shape (..., n_neurons, m), in their precision.

        Leading axes of the vectors and of the graph are broadcast.
        """
        pieces = torch.split(vectors, self.layer_sizes, dim=-2)
        parts: list[Tensor | None] = [None] * len(self.layers)
        for block in self.blocks:
            pairs = (
                (block.source, matmul(block.strengths, pieces[block.target])),
                (block.target, transposed_matmul(block.strengths, pieces[block.source])),
            )
            for layer, part in pairs:
                so_far = parts[layer]
                parts[layer] = part if so_far is None else so_far + part
        return self._concatenate(parts, -2)

    def _concatenate(self, parts: Sequence[Tensor | None], axis: int) -> Tensor:
        """Concatenate one tensor a layer; a layer that no block touches gets zeros."""
        known = next((part for part in parts if part is not None), None)
        if known is None:
            raise InputError("the graph has no block of strengths, so no neuron is connected")
        shape = list(known.shape)
        filled = []
        for layer, part in zip(self.layers, parts, strict=True):
            shape[axis] = layer.n_neurons
            filled.append(known.new_zeros(shape) if part is None else part)
        return torch.cat(filled, dim=axis)

    def two_coloring(self) -> tuple[int, ...] | None:
        """Return a color, 0 or 1, for each layer such that every block joins different colors.

        Returns None if there is no such coloring, as where a block joins a layer to itself. Each
        connected group of layers is colored breadth first from its first layer, so that the colors
        of a chain alternate.
        """
        neighbors: list[list[int]] = [[] for _ in self.layers]
        for block in self.blocks:
            neighbors[block.source].append(block.target)
            neighbors[block.target].append(block.source)
        colors: list[int | None] = [None] * len(self.layers)
        for start in range(len(self.layers)):
            if colors[start] is not None:
                continue
            colors[start] = 0
            queue = [start]
            for layer in queue:
                for neighbor in neighbors[layer]:
                    if colors[neighbor] is None:
                        colors[neighbor] = 1 - colors[layer]  # type: ignore[operator]
                        queue.append(neighbor)
                    elif colors[neighbor] == colors[layer]:
                        return None
        return tuple(color or 0 for color in colors)

    def to(self, device: torch.device | str) -> NeuronGraph:
        """Return the same graph on another device."""
        if self.device == torch.device(device):
            return self
        blocks = (
            replace(
                b,
                strengths=b.strengths.to(device),
                support=None if b.support is None else b.support.to(device),
            )
            for b in self.blocks
        )
        return NeuronGraph(self.layers, tuple(blocks), None, self.shared_scale)

    def flat_strengths(self) -> Tensor:
        """Return all strengths in one tensor (..., n_strengths), block after block, row by row.

        The tensor is a view if :meth:`with_flat_strengths` made the graph, else a copy.
        """
        if self._flat is not None:
            return self._flat
        return torch.cat([block.strengths.flatten(-2) for block in self.blocks], dim=-1)

    def with_flat_strengths(self, flat: Tensor) -> NeuronGraph:
        """Return the same layers and blocks with other strengths, views of ``flat``.

        Args:
            flat: (..., n_strengths), in the order of :meth:`flat_strengths`.
        """
        pieces = torch.split(flat, [block.n_strengths for block in self.blocks], dim=-1)
        blocks = tuple(
            replace(b, strengths=piece.view(*piece.shape[:-1], *b.strengths.shape[-2:]))
            for b, piece in zip(self.blocks, pieces, strict=True)
        )
        return NeuronGraph(self.layers, blocks, flat, self.shared_scale)

    def check_single(self) -> None:
        """Refuse a batch of graphs.

        Raises:
            InputError: if the blocks have leading axes.
        """
        if self.batch_shape:
            first = ", ".join("0" for _ in self.batch_shape)
            raise InputError(
                f"expected one graph, got a batch of shape {self.batch_shape}; take one out of it, "
                f"as graph.with_flat_strengths(graph.flat_strengths()[{first}]) does"
            )

    def check_strengths(self) -> None:
        """Refuse strengths that are not valid in a graph.

        Raises:
            InputError: if there are no blocks, or a strength is negative, NaN, infinite, or lies
                outside its block's support.
        """
        if not self.blocks:
            raise InputError("the graph has no blocks, so there is nothing to cluster; add one")
        for block in self.blocks:
            check_values(block, self.layers)

    def to_scipy(self) -> scipy.sparse.csr_array:
        """Return the adjacency matrix A, (n_neurons, n_neurons), isolated neurons included."""
        from clusterability.graph.conversions import to_scipy

        return to_scipy(self)

    def to_networkx(self) -> networkx.Graph:
        """Return a networkx graph with ``layer`` on every node and ``weight`` on every edge."""
        from clusterability.graph.conversions import to_networkx

        return to_networkx(self)


def _add_support(block: Block) -> Block:
    """Give a block within one layer the support above its diagonal, if it has none."""
    if block.source != block.target or block.support is not None:
        return block
    n_neurons, device = block.strengths.shape[-1], block.strengths.device
    return replace(block, support=above_diagonal(n_neurons, device))
