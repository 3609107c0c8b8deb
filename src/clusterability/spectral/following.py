"""Smallest eigenvalues of the normalized Laplacian, followed from one step of training to the next.

A warm-started subspace iteration with a Rayleigh-Ritz projection. It differs from the solvers of
:mod:`clusterability.spectral.solvers` in that it starts from the eigenvectors of the step before,
so that one iteration, two products with each block, mostly is enough; and in that vectors lie in
rows, (..., n_vectors, n), which makes products with a few vectors twice as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.spectral.embedding import inverse_root

DENSE_SIDE = 64
"""Graphs of up to this many neurons are solved anew at each call, as one matrix."""

GUARDS = 4
"""At least so many vectors are followed beyond those that are wanted, as the gap after the last
vector sets how fast the iteration converges."""

COLD_ITERATIONS = 300
"""Most iterations from a random start, and after a change in which the start is lost."""

WARM_ITERATIONS = 8
"""Most iterations from the vectors of the step before, such as where a mask has changed."""

CONVERGED = 1e-6
"""Iterations from a random start end where one gains less than this in every eigenvalue; in
double precision the square of this."""

CHANGED = 3e-4
"""Where the first iteration from a warm start gains more than this, others follow, until one gains
less than a tenth of this."""

LOST = 0.02
"""Where the first iteration gains more than this, the strengths are taken for those of another
network, and iterated as from a random start."""


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
        start: (..., n_vectors, size), from which the next iteration starts; None before the first.

    >>> from clusterability import toy
    >>> Follower(3)(toy.barbell()).values
    tensor([0.1134, 1.0833])
    """

    def __init__(self, n_smallest: int, dense_side: int = DENSE_SIDE) -> None:
        self.n_smallest, self.dense_side = n_smallest, dense_side
        self.start: Tensor | None = None
        self._halves: _Halves | None = None

    @torch.no_grad()
    def __call__(self, graph: NeuronGraph) -> Eigenpairs:
        """Return the eigenpairs of the graph, or of each graph of a batch.

        Raises:
            InputError: if the graph has fewer neurons, or fewer eigenvalues below 1.
        """
        self._check(graph)
        found = self._solve(graph)
        if found is not None:
            return found
        degrees = graph.degrees()
        finite = torch.isfinite(degrees).all(-1)
        found = self._solve(_without(graph, ~finite))
        assert found is not None
        bad = torch.where(finite, 0.0, torch.nan).to(degrees.dtype)
        return Eigenpairs(found.values + bad[..., None], found.rows + bad[..., None, None])

    def _check(self, graph: NeuronGraph) -> None:
        if graph.n_neurons < self.n_smallest:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but the graph has "
                f"{graph.n_neurons} neurons; ask for eigenvalues up to {graph.n_neurons}"
            )
        if graph.n_neurons <= self.dense_side:
            return
        if self._halves is None or not self._halves.fit(graph):
            self._halves = _Halves(graph)
        n_most = min(self._halves.sizes) - 1
        if self.n_smallest - 1 > n_most:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but only {n_most + 1} eigenvalues of "
                f"this graph are below 1; ask for eigenvalues up to {n_most + 1}"
            )

    def _solve(self, graph: NeuronGraph) -> Eigenpairs | None:
        """Return the eigenpairs; None if a strength or degree is not finite."""
        if graph.n_neurons <= self.dense_side:
            degrees = graph.degrees()
            if not bool(torch.isfinite(degrees).all()):
                return None
            return _solve_densely(graph, degrees, self.n_smallest)
        halves, n_wanted = self._halves, self.n_smallest - 1
        assert halves is not None
        # With the row of ones that gives the degrees, products take a multiple of four rows.
        n_vectors = min(4 * -(-(n_wanted + GUARDS + 1) // 4) - 1, min(halves.sizes) - 1)
        step = self._iterate(_Adjacency(graph, halves), n_wanted, n_vectors)
        if step is None:
            return None
        rows = [half[..., :n_wanted, :] for half in step.rows]
        return Eigenpairs(1 - step.values[..., :n_wanted], halves.joined(rows))

    def _iterate(self, matrix: _Adjacency, n_wanted: int, n_vectors: int) -> _Step | None:
        """Iterate until the eigenvalues stay; None if a strength or degree is not finite."""
        shape, like = matrix.row_shape(n_vectors), matrix.like
        is_cold = self.start is None or self.start.shape != shape
        rows = _noise(shape, like) if self.start is None or is_cold else self.start.to(like)
        converged = CONVERGED if like.dtype == torch.float32 else CONVERGED**2
        for i in range(COLD_ITERATIONS):
            step = matrix.iterate(rows)
            if step is None:
                return None
            rows = step.rows[0]
            gain = float((step.values - step.before)[..., :n_wanted].abs().amax())
            is_cold = is_cold or (i == 0 and gain > LOST)
            enough = converged if is_cold else (CHANGED if i == 0 else CHANGED / 10)
            if gain <= enough or (not is_cold and i + 1 == WARM_ITERATIONS):
                break
        self.start = rows
        return step


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

    def joined(self, halves: Sequence[Tensor]) -> Tensor:
        """Return the neurons of all halves in the order of the graph."""
        return torch.cat([halves[half][..., span] for half, span in self.places], -1)


class _Step(NamedTuple):
    """What one step of the iteration finds.

    Attributes:
        values: (..., n) eigenvalues of D^-1/2 A D^-1/2, descending, without the trivial one.
        before: what they were for the rows before the step.
        rows: of each half, (..., n, size), the eigenvectors y with y' D y = 1 over both; those of
            the first half start the next step.
    """

    values: Tensor
    before: Tensor
    rows: list[Tensor]


class _Adjacency:
    """A, between two halves, [[0, B], [B', 0]], or within one.

    Steps are taken with y = D^-1/2 x in place of the eigenvectors x of D^-1/2 A D^-1/2, so that the
    first product needs no degrees and, with a row of ones, gives those of the other half.
    """

    def __init__(self, graph: NeuronGraph, halves: _Halves) -> None:
        self._graph, self._halves, self._last = graph, halves, len(halves.sizes) - 1
        self.like = graph.blocks[0].strengths

    def row_shape(self, n_vectors: int) -> tuple[int, ...]:
        """Return the shape of the rows from which a step starts."""
        return (*self._graph.batch_shape, n_vectors, self._halves.sizes[0])

    def multiply(self, rows: Tensor, half: int) -> tuple[Tensor, Tensor]:
        """Return the products with rows (..., n, size) of a half, and the other half's degrees."""
        places, other = self._halves.places, self._last - half
        rows = torch.cat([rows, rows.new_ones(1).expand(*rows.shape[:-2], 1, rows.shape[-1])], -2)
        image = rows.new_zeros(*rows.shape[:-1], self._halves.sizes[other])
        for block in self._graph.blocks:
            (source_half, source), (target_half, target) = (
                places[block.source],
                places[block.target],
            )
            if source_half == half:
                image[..., target] += rows[..., source] @ block.strengths
            if target_half == half:
                image[..., source] += rows[..., target] @ block.strengths.mT
        return image[..., :-1, :], image[..., -1, :]

    def iterate(self, rows: Tensor) -> _Step | None:
        """Take one step from rows (..., n, size) of the first half; None if degrees overflow."""
        image, degrees = self.multiply(rows, 0)
        if not bool(torch.isfinite(degrees.sum())):
            return None
        large = _Scales.of(degrees)
        image = image * large.inverse
        if not self._halves.are_two:
            return self._iterate_within_one(rows, image, large)
        basis = _orthonormal(large.trivial, image)
        product, degrees = self.multiply(basis * large.inverse, 1)
        small = _Scales.of(degrees)
        product = product * small.inverse
        lengths = torch.linalg.vector_norm(rows * small.root, dim=-1)
        before = torch.linalg.vector_norm(image, dim=-1) / lengths.clamp_min(1e-30)
        squares, rotation = _descending(product @ product.mT)
        is_known = squares > 10 * torch.finfo(squares.dtype).eps
        values = torch.where(is_known, squares, 0).sqrt()
        divided = torch.where(is_known, values, 1).reciprocal() * is_known
        found = [
            ((rotation.mT * (divided * 0.5**0.5)[..., None]) @ product) * small.inverse,
            ((rotation.mT * (is_known * 0.5**0.5)[..., None]) @ basis) * large.inverse,
        ]
        return _Step(values, before, found)

    def _iterate_within_one(self, rows: Tensor, image: Tensor, scales: _Scales) -> _Step:
        vectors = rows * scales.root
        squared = vectors.square().sum(-1).clamp_min(1e-30)
        before = (vectors * image).sum(-1) / squared
        basis = _orthonormal(scales.trivial, image + vectors)
        product = self.multiply(basis * scales.inverse, 0)[0] * scales.inverse
        values, rotation = _descending(product @ basis.mT)
        return _Step(values, before, [(rotation.mT @ basis) * scales.inverse])


class _Scales(NamedTuple):
    """Of one half, (..., 1, size) each.

    Attributes:
        root, inverse: the diagonals of D^1/2 and D^-1/2, 0 for isolated neurons.
    """

    root: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, degrees: Tensor) -> _Scales:
        """Return those of degrees (..., size)."""
        root = degrees[..., None, :].sqrt()
        return cls(root, root.reciprocal().masked_fill_(root == 0, 0))

    @property
    def trivial(self) -> Tensor:
        """D^1/2 1, of length 1."""
        length = torch.linalg.vector_norm(self.root, dim=-1, keepdim=True)
        trivial: Tensor = self.root / length.clamp_min_(1e-30)
        return trivial


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
