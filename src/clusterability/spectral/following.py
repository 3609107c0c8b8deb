"""Smallest eigenvalues of the normalized Laplacian, followed from one step of training to the next.

A warm-started subspace iteration with a Rayleigh-Ritz projection. It differs from the solvers of
:mod:`clusterability.spectral.solvers` in that it starts from the eigenvectors of the step before,
so that one iteration, two products with each block, mostly is enough; and in that vectors lie in
rows, (..., n_vectors, n), which makes products with a few vectors twice as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        values: (..., n) eigenvalues, ascending; NaN for a graph of a batch with a strength that is
            not finite.
        rows: (..., n, n_neurons), the eigenvectors y, with y' D y = 1; 0 at isolated neurons, and
            where two-colorable graphs have the eigenvalue 1.
    """

    values: Tensor
    rows: Tensor


class Follower:
    """The smallest eigenpairs of L_norm of a graph whose strengths change step by step.

    Args:
        n_smallest: number of eigenpairs, the trivial one of eigenvalue 0 included; at least 2.
        dense_side: graphs of up to this many neurons are solved as one matrix.

    Attributes:
        start: (..., n_vectors, size), from which the next iteration starts; None before the first.

    >>> from clusterability import toy
    >>> Follower(3)(toy.barbell()).values[1:]
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
        degrees = graph.degrees()
        finite = torch.isfinite(degrees).all(-1)
        if bool(finite.all()):
            return self._follow(graph, degrees)
        graph = _without(graph, ~finite)
        found = self._follow(graph, graph.degrees())
        bad = torch.where(finite, 0.0, torch.nan).to(degrees.dtype)
        return Eigenpairs(found.values + bad[..., None], found.rows + bad[..., None, None])

    def _follow(self, graph: NeuronGraph, degrees: Tensor) -> Eigenpairs:
        if graph.n_neurons < self.n_smallest:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but the graph has "
                f"{graph.n_neurons} neurons; ask for eigenvalues up to {graph.n_neurons}"
            )
        if graph.n_neurons <= self.dense_side:
            return _solve_densely(graph, degrees, self.n_smallest)
        if self._halves is None or not self._halves.fit(graph):
            self._halves = _Halves(graph)
        matrix = _NormalizedMatrix(graph, degrees, self._halves)
        n_wanted, n_most = self.n_smallest - 1, min(self._halves.sizes) - 1
        if n_wanted > n_most:
            raise InputError(
                f"eigenvalue {self.n_smallest} is asked for, but only {n_most + 1} eigenvalues of "
                f"this graph are below 1; ask for eigenvalues up to {n_most + 1}"
            )
        n_vectors = min(8 * -(-(n_wanted + GUARDS) // 8), n_most)
        values, halves = self._iterate(matrix, n_wanted, n_vectors)
        trivial = tuple(half[..., None, :] for half in matrix.trivial_halves)
        halves = [torch.cat([t, h], -2) for t, h in zip(trivial, halves, strict=True)]
        values = torch.cat([torch.zeros_like(values[..., :1]), 1 - values], -1)
        scaled = [h * s[..., None, :] for h, s in zip(halves, matrix.scales, strict=True)]
        return Eigenpairs(values, self._halves.joined(scaled))

    def _iterate(
        self, matrix: _NormalizedMatrix, n_wanted: int, n_vectors: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the largest eigenvalues of M but the trivial one, and the eigenvectors' halves."""
        shape = (*matrix.trivials[0].shape[:-1], n_vectors, matrix.trivials[0].shape[-1])
        like = matrix.trivials[0]
        is_cold = self.start is None or self.start.shape != shape
        vectors = _noise(shape, like) if self.start is None or is_cold else self.start.to(like)
        converged = CONVERGED if like.dtype == torch.float32 else CONVERGED**2
        for i in range(COLD_ITERATIONS):
            values, halves, vectors, before = matrix.iterate(vectors)
            gain = float((values - before)[..., :n_wanted].abs().amax())
            is_cold = is_cold or (i == 0 and gain > LOST)
            enough = converged if is_cold else (CHANGED if i == 0 else CHANGED / 10)
            if gain <= enough or (not is_cold and i + 1 == WARM_ITERATIONS):
                break
        self.start = vectors
        return values[..., :n_wanted], [half[..., :n_wanted, :] for half in halves]


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


class _NormalizedMatrix:
    """M = D^-1/2 A D^-1/2 between two halves, [[0, B], [B', 0]], or within one.

    Attributes:
        scales: of each half, (..., size), the diagonal of D^-1/2, 0 for isolated neurons.
        trivials: of each half, the part of the eigenvector D^1/2 1 there, of length 1.
    """

    def __init__(self, graph: NeuronGraph, degrees: Tensor, halves: _Halves) -> None:
        self._graph, self._halves, self._last = graph, halves, len(halves.sizes) - 1
        sizes = graph.layer_sizes
        self.scales = halves.split(inverse_root(degrees), sizes)
        roots = halves.split(degrees.sqrt(), sizes)
        lengths = (torch.linalg.vector_norm(root, dim=-1, keepdim=True) for root in roots)
        self.trivials = [r / n.clamp_min(1e-30) for r, n in zip(roots, lengths, strict=True)]

    @property
    def trivial_halves(self) -> list[Tensor]:
        """The eigenvector of eigenvalue 1, of length 1 over all halves."""
        return [trivial * len(self.trivials) ** -0.5 for trivial in self.trivials]

    def multiply(self, rows: Tensor, half: int) -> Tensor:
        """Return the products with rows (..., n, size) that lie in a half, in the other half."""
        places, other = self._halves.places, self._last - half
        scaled = rows * self.scales[half][..., None, :]
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
        return image * self.scales[other][..., None, :]

    def iterate(self, rows: Tensor) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Take one step of the iteration, from rows (..., n, size) in the first half.

        Returns:
            Eigenvalues of M, (..., n), descending; the eigenvectors' halves; the rows for the next
            step; and what the eigenvalues were for the rows before the step.
        """
        image = self.multiply(rows, 0)
        if not self._halves.are_two:
            before = (rows * image).sum(-1)
            basis = _orthonormal(self.trivials[0], image + rows)
            product = self.multiply(basis, 0)
            values, rotation = _descending(product @ basis.mT)
            vectors = rotation.mT @ basis
            return values, [vectors], vectors, before
        before = torch.linalg.vector_norm(image, dim=-1)
        basis = _orthonormal(self.trivials[1], image)
        product = self.multiply(basis, 1)
        squares, rotation = _descending(product @ product.mT)
        is_known = squares > 10 * torch.finfo(squares.dtype).eps
        values = torch.where(is_known, squares, 0).sqrt()
        inverse = torch.where(is_known, values, 1).reciprocal() * is_known
        small = (rotation.mT @ product) * inverse[..., None]
        large = (rotation.mT @ basis) * is_known[..., None]
        return values, [small * 0.5**0.5, large * 0.5**0.5], small, before


def _orthonormal(unit: Tensor, rows: Tensor) -> Tensor:
    """Return orthonormal rows that span ``rows`` less their part along ``unit``."""
    columns = torch.cat([unit[..., None, :], rows], -2).mT
    basis: Tensor = torch.linalg.qr(columns)[0]
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
    rows = (vectors[..., :n_smallest] * scale[..., None]).mT.to(degrees.dtype)
    return Eigenpairs(values[..., :n_smallest].to(degrees.dtype), rows)
