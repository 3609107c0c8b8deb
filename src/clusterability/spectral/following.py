"""Smallest eigenvalues of the normalized Laplacian, followed from one step of training to the next.

A warm-started subspace iteration with a Rayleigh-Ritz projection. It differs from the solvers of
:mod:`clusterability.spectral.solvers` in that

1. it starts from the eigenvectors of the step before, of one half of a two-colorable graph, and
   makes those of the other half, in turn, so that one product with each block mostly is enough;
2. vectors lie in rows, (..., n_vectors, n), which makes products with a few twice as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from clusterability.compiling import can_compile
from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.spectral.degrees import fast_degrees
from clusterability.spectral.embedding import inverse_root
from clusterability.spectral.fused_step import fused_step

DENSE_SIDE = 64
"""Graphs of up to this many neurons are solved anew at each call, as one matrix."""

GUARDS = 1
"""At least so many vectors are followed beyond those that are wanted, as the gap after the last
vector sets how fast the iteration converges."""

LEAST_VECTORS = 8
"""Fewer are hardly cheaper."""

COLD_ITERATIONS = 600
"""Most iterations from a random start, and after a change in which the start is lost."""

WARM_ITERATIONS = 16
"""Most iterations from the vectors of the step before, such as where a mask has changed."""

CONVERGED = 2.5e-7
"""Iterations from a random start end where one changes every eigenvalue by less than this; in
double precision by less than the square of 1e-6."""

CHANGED = 4e-3
"""Where the first iteration from a warm start changes an eigenvalue by more than this, others
follow, until one changes them by less than ``SETTLED``."""

SETTLED = 2e-5

LOST = 0.02
"""Where the first iteration changes an eigenvalue by more than this, the strengths are taken for
those of another network, and iterated as from a random start."""


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Eigenpairs of L_norm.

    Attributes:
        values: (..., n) eigenvalues, ascending from the second on; NaN for a graph of a batch
            with a strength that is not finite.
        rows: (..., n, n_neurons), the eigenvectors y, with y' D y = 1; 0 at isolated neurons, and
            where two-colorable graphs have the eigenvalue 1.
    """

    values: Tensor
    rows: Tensor


class Follower:
    """The smallest eigenpairs of L_norm of a graph whose strengths change step by step.

    The first, of eigenvalue 0, is known and left out.

    Args:
        n_smallest: number of eigenpairs, with the first; at least 2.
        dense_side: graphs of up to this many neurons are solved as one matrix.

    Attributes:
        start: from which the next iteration starts; None before the first.

    >>> from clusterability import toy
    >>> Follower(3)(toy.barbell()).values
    tensor([0.1134, 1.0833])
    """

    def __init__(self, n_smallest: int, dense_side: int = DENSE_SIDE) -> None:
        self.n_smallest, self.dense_side = n_smallest, dense_side
        self.start: Start | None = None
        self._halves: _Halves | None = None
        self._laid: WeakKeyDictionary[NeuronGraph, _Laid] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is laid out for graphs out of copies and pickles: it is found anew."""
        return {name: value for name, value in vars(self).items() if name != "_laid"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _laid=WeakKeyDictionary())

    @torch.no_grad()
    def __call__(self, graph: NeuronGraph, degrees: Tensor | None = None) -> Eigenpairs:
        """Return the eigenpairs of the graph, or of each graph of a batch.

        Args:
            graph: one graph or a batch.
            degrees: (..., n_neurons), if they are known.

        Raises:
            InputError: if the graph has fewer neurons, or fewer eigenvalues below 1.
        """
        self._check(graph)
        degrees = fast_degrees(graph) if degrees is None else degrees
        if bool(torch.isfinite(degrees.sum())):
            return self._solve(graph, degrees)
        finite = torch.isfinite(degrees.sum(-1))
        graph = _without(graph, ~finite)
        found = self._solve(graph, graph.degrees())
        bad = torch.where(finite, 0.0, torch.nan).to(degrees.dtype)
        return Eigenpairs(found.values + bad[..., None], found.rows + bad[..., None, None])

    def _check(self, graph: NeuronGraph) -> None:
        if graph.n_neurons < self.n_smallest:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but the graph has "
                f"{graph.n_neurons} neurons; ask for eigenvalues up to {graph.n_neurons}"
            )
        if graph.n_neurons <= self.dense_side or graph in self._laid:
            return
        if self._halves is None or not self._halves.fit(graph):
            self._halves = _Halves(graph)
        n_most = min(self._halves.sizes) - 1
        if self.n_smallest - 1 > n_most:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but only {n_most + 1} eigenvalues of "
                f"this graph are below 1; ask for eigenvalues up to {n_most + 1}"
            )

    def _solve(self, graph: NeuronGraph, degrees: Tensor) -> Eigenpairs:
        if graph.n_neurons <= self.dense_side:
            return _solve_densely(graph, degrees, self.n_smallest)
        halves, n_wanted = self._halves, self.n_smallest - 1
        assert halves is not None
        n_vectors = max(LEAST_VECTORS, 4 * -(-(n_wanted + GUARDS) // 4))
        n_vectors = min(n_vectors, min(halves.sizes) - 1)
        if graph not in self._laid:
            self._laid[graph] = _laid_blocks(graph, halves)
        matrix = _NormalizedMatrix(graph, degrees, halves, self._laid[graph])
        step = self._iterate(matrix, n_wanted, n_vectors)
        rows = [half[..., :n_wanted, :] for half in step.rows]
        return Eigenpairs(1 - step.values[..., :n_wanted], halves.joined(rows))

    def _iterate(self, matrix: _NormalizedMatrix, n_wanted: int, n_vectors: int) -> _Step:
        """Iterate until the eigenvalues stay."""
        start, is_cold = self.start, False
        if start is None or not matrix.can_start(start, n_vectors):
            start, is_cold = matrix.random_start(n_vectors), True
        converged = CONVERGED if start.rows.dtype == torch.float32 else 1e-12
        for i in range(COLD_ITERATIONS):
            step = matrix.iterate(start)
            change = float((step.values - start.values)[..., :n_wanted].abs().amax())
            start = step.next
            is_cold = is_cold or (i == 0 and change > LOST)
            enough = converged if is_cold else (CHANGED if i == 0 else SETTLED)
            if change <= enough or (not is_cold and i + 1 == WARM_ITERATIONS):
                break
        self.start = start
        return step


class Start(NamedTuple):
    """The vectors from which an iteration starts.

    Attributes:
        half: 0 or 1, the half in which they lie.
        rows: (..., n, size), eigenvectors y of L_norm; y = D^-1/2 x with those x of
            D^-1/2 A D^-1/2.
        values: (..., n), eigenvalues of that when the vectors were found.
    """

    half: int
    rows: Tensor
    values: Tensor


_Laid: TypeAlias = list[tuple[Any, int, int, bool]]
"""Blocks as :func:`fused_step` takes them."""


class _Halves:
    """Where each layer's neurons lie: in the smaller or larger half of a two-colorable graph.

    Where the layers are not two-colorable there is one half, which holds all.
    """

    def __init__(self, graph: NeuronGraph) -> None:
        self._key = _structure(graph)
        colors = graph.two_coloring()
        self.are_two = colors is not None
        layers = list(zip(graph.layers, colors or [0] * len(graph.layers), strict=True))
        totals = [sum(n.n_neurons for n, c in layers if c == color) for color in (0, 1)]
        swapped = self.are_two and totals[1] < totals[0]
        self.sizes = [0, 0] if self.are_two else [0]
        self.places: list[tuple[int, slice]] = []
        for layer, color in layers:
            half = 1 - color if swapped else color
            first = self.sizes[half]
            self.sizes[half] += layer.n_neurons
            self.places.append((half, slice(first, self.sizes[half])))

    def fit(self, graph: NeuronGraph) -> bool:
        """Whether they are those of this graph."""
        return self._key == _structure(graph)

    def split(self, values: Tensor, layer_sizes: list[int]) -> list[Tensor]:
        """Return the halves of values (..., n_neurons)."""
        parts: list[list[Tensor]] = [[] for _ in self.sizes]
        for (half, _), part in zip(self.places, torch.split(values, layer_sizes, -1), strict=True):
            parts[half].append(part)
        return [torch.cat(half, -1) for half in parts]

    def joined(self, halves: Sequence[Tensor]) -> Tensor:
        """Return the neurons of all halves in the order of the graph."""
        return torch.cat([halves[half][..., span] for half, span in self.places], -1)


class _Step(NamedTuple):
    """What one iteration finds.

    Attributes:
        values: (..., n) eigenvalues of D^-1/2 A D^-1/2, descending, without the trivial one.
        rows: of each half, (..., n, size), the eigenvectors y with y' D y = 1 over both.
        next: from which the next iteration starts.
    """

    values: Tensor
    rows: list[Tensor]
    next: Start


class _NormalizedMatrix:
    """M = D^-1/2 A D^-1/2 between two halves, [[0, B], [B', 0]], or within one."""

    def __init__(self, graph: NeuronGraph, degrees: Tensor, halves: _Halves, laid: _Laid) -> None:
        self._graph, self._halves, self._last = graph, halves, len(halves.sizes) - 1
        roots = halves.split(degrees.sqrt()[..., None, :], graph.layer_sizes)
        self._roots = roots
        self._laid = laid

    @cached_property
    def _scales(self) -> list[Tensor]:
        return [root.reciprocal().masked_fill_(root == 0, 0) for root in self._roots]

    def row_shape(self, n_vectors: int, half: int) -> tuple[int, ...]:
        """Return the shape of the rows from which an iteration starts."""
        return (*self._graph.batch_shape, n_vectors, self._halves.sizes[half])

    def can_start(self, start: Start, n_vectors: int) -> bool:
        """Whether a start fits, and is not 0 at a neuron that has strength by now."""
        if start.rows.shape != self.row_shape(n_vectors, start.half):
            return False
        has_strength = self._roots[start.half][..., 0, :] > 0
        is_reached = start.rows.any(-2).to(has_strength.device)
        return bool((is_reached >= has_strength).all())

    def random_start(self, n_vectors: int) -> Start:
        """Return a start in the first half, the same for each graph of a batch and each device."""
        rows = _noise(self.row_shape(n_vectors, 0), self._roots[0]) * self._scales[0]
        return Start(0, rows, rows.new_full((), torch.inf))

    def multiply(self, rows: Tensor, half: int) -> Tensor:
        """Return the products of M with rows (..., n, size) of a half, in the other half."""
        places, other = self._halves.places, self._last - half
        scaled = rows * self._scales[half]
        image = rows.new_zeros(*rows.shape[:-1], self._halves.sizes[other])
        for block in self._graph.blocks:
            (source_half, source), (target_half, target) = (
                places[block.source],
                places[block.target],
            )
            if source_half == half:
                image[..., target] += scaled[..., source] @ block.strengths
            if target_half == half:
                image[..., source] += scaled[..., target] @ block.strengths.mT
        return image.mul_(self._scales[other])

    def iterate(self, start: Start) -> _Step:
        """Take one step of the iteration."""
        fused = self._fused(start) if self._laid else None
        return self._in_torch(start) if fused is None else fused

    def _fused(self, start: Start) -> _Step | None:
        """Take the step by compiled loops; None where they cannot."""
        sizes = [root.shape[-1] for root in self._roots]
        rows = start.rows.to(self._roots[0]).reshape(-1, start.rows.shape[-2], sizes[start.half])
        roots = [
            root.reshape(-1, size).numpy() for root, size in zip(self._roots, sizes, strict=True)
        ]
        found = fused_step(rows.contiguous().numpy(), start.half, roots, self._laid)
        if found is None:
            return None
        batch = self._graph.batch_shape
        values = torch.from_numpy(found[0]).view(*batch, -1)
        halves = [torch.from_numpy(half).view(*batch, *half.shape[1:]) for half in found[1]]
        other = 1 - start.half
        return _Step(values, halves, Start(other, halves[other], values))

    def _in_torch(self, start: Start) -> _Step:
        here, root = start.half, self._roots[start.half]
        length = torch.linalg.vector_norm(root, dim=-1, keepdim=True)
        trivial, vectors = root / length.clamp_min_(1e-30), start.rows.to(root) * root
        if not self._halves.are_two:
            basis = _orthonormal(trivial, self.multiply(vectors, 0) + vectors)
            product = self.multiply(basis, 0)
            values, rotation = _descending(product @ basis.mT)
            rows = (rotation.mT @ basis) * self._scales[0]
            return _Step(values, [rows], Start(0, rows, values))
        basis = _orthonormal(trivial, vectors)
        product = self.multiply(basis, here)
        squares, rotation = _descending(product @ product.mT)
        is_known = squares > 10 * torch.finfo(squares.dtype).eps
        values = torch.where(is_known, squares, 0).sqrt()
        divided = torch.where(is_known, values, 1).reciprocal() * is_known
        found = {
            here: (rotation.mT * (is_known * 0.5**0.5)[..., None]) @ basis,
            1 - here: (rotation.mT * (divided * 0.5**0.5)[..., None]) @ product,
        }
        halves = [found[half] * self._scales[half] for half in (0, 1)]
        return _Step(values, halves, Start(1 - here, halves[1 - here], values))


def _laid_blocks(graph: NeuronGraph, halves: _Halves) -> _Laid:
    """Return the blocks for :func:`fused_step`; none where it cannot take them."""
    if not halves.are_two or len(graph.batch_shape) > 1:
        return []
    found = []
    for block in graph.blocks:
        strengths, ends = block.strengths.detach(), (block.source, block.target)
        if not strengths.is_contiguous():
            strengths, ends = strengths.mT, ends[::-1]
        if not can_compile(strengths):
            return []
        places = [halves.places[layer] for layer in ends]
        weights = strengths.reshape(-1, *strengths.shape[-2:]).numpy()
        found.append((weights, places[0][1].start, places[1][1].start, places[0][0] == 0))
    return found


def _orthonormal(unit: Tensor, rows: Tensor) -> Tensor:
    """Return orthonormal rows that span ``rows`` less their part along ``unit`` (..., 1, size)."""
    basis: Tensor = torch.linalg.qr(torch.cat([unit, rows], -2).mT)[0]
    return basis.mT[..., 1:, :].contiguous()


def _descending(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, descending, and eigenvectors of small symmetric matrices."""
    values, vectors = torch.linalg.eigh(matrix.double())
    return values.flip(-1).to(matrix.dtype), vectors.flip(-1).to(matrix.dtype)


def _noise(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return the random start, the same for each graph of a batch and on each device."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(shape[-2:], generator=generator, dtype=torch.float64) / shape[-1] ** 0.5
    start: Tensor = drawn.to(like).expand(shape).contiguous()
    return start


def _structure(graph: NeuronGraph) -> tuple[list[int], list[tuple[int, int]]]:
    return graph.layer_sizes, [(block.source, block.target) for block in graph.blocks]


def _without(graph: NeuronGraph, left_out: Tensor) -> NeuronGraph:
    """Return the batch with strengths of 0 in the graphs that are left out."""
    here = left_out[..., None, None]
    blocks = (replace(b, strengths=b.strengths.masked_fill(here, 0)) for b in graph.blocks)
    return NeuronGraph.unchecked(graph.layers, tuple(blocks))


def _solve_densely(graph: NeuronGraph, degrees: Tensor, n_smallest: int) -> Eigenpairs:
    """Return the eigenpairs from the whole matrix, in float64."""
    scale = inverse_root(degrees.double())
    identity = torch.eye(graph.n_neurons, dtype=torch.float64, device=graph.device)
    adjacency = graph.product(identity.expand(*graph.batch_shape, -1, -1).contiguous())
    laplacian = identity - scale[..., None] * adjacency * scale[..., None, :]
    values, vectors = torch.linalg.eigh(laplacian)
    rows = (vectors[..., 1:n_smallest] * scale[..., None]).mT.to(degrees.dtype)
    return Eigenpairs(values[..., 1:n_smallest].to(degrees.dtype), rows)
