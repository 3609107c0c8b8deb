"""The normalized Laplacian's symmetric eigenproblem, without the known trivial vector.

M = D^-1/2 A D^-1/2 = I - L_sym. Its largest eigenvalue 1 has the eigenvector D^1/2 1. A problem is
a matrix with this eigenvector subtracted, so that its largest eigenvalues give M's from the second
on. Products with the matrix run block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from clusterability.graph import NeuronGraph
from clusterability.graph.products import matmul, transposed_matmul
from clusterability.graph.sparse import SparseGraph
from clusterability.spectral.degrees import fast_total
from clusterability.spectral.filtering import SparseFactor, sparse_factor

SMALLEST_EIGENVALUE = 1e-6
"""A positive eigenvalue of M below this counts as 0: it is within rounding."""

MOST_LAYERS = 700
"""With more layers, the eigenvectors of the graph of layers cost more time to find than a start
from them saves."""

NOISE = 0.01
"""Length of the random part of a starting vector; the other part has length 1."""


PRODUCT_WIDTH = 16
"""A product in float32 takes less time with columns padded to a multiple of this: 16 columns fill
whole vector registers. Measured with OpenBLAS on processors with AVX2 and with AVX-512."""


class Eigenproblem(Protocol):
    """A symmetric matrix whose leading eigenvectors give those of M.

    Attributes:
        size: number of rows of the matrix.
        trivial: (..., size), the known eigenvector t, of length 1, already subtracted.
    """

    size: int
    trivial: Tensor

    def apply(self, vectors: Tensor) -> Tensor:
        """Multiply vectors, (..., size, b), by the matrix, in their precision."""

    def start(self, noise: Tensor) -> Tensor:
        """Return the first block of an iteration, made from random ``noise``, (..., size, b)."""

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Return the matrix of one problem on a CPU, (size, size), its lower triangle filled."""

    def finish(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Turn approximate eigenvectors of the matrix into eigenpairs of M by Rayleigh-Ritz.

        Args:
            vectors: (..., size, m).

        Returns:
            Eigenvalues (..., m), descending, and eigenvectors (..., n_neurons, m), both float64
            and 0 where an eigenvalue of M is not positive.
        """


class BipartiteProblem:
    """M = [[0, B], [B', 0]], solved through B'B on the smaller side.

    M's positive eigenvalues are B's singular values, and its eigenvectors the stacked singular
    vectors over sqrt 2.

    Attributes:
        factor: B by its non-zero entries, where the graph is given by its non-zero strengths too.
    """

    def __init__(
        self,
        graph: NeuronGraph,
        scale: Tensor,
        trivial: Tensor,
        colors: tuple[int, ...],
        sparse: SparseGraph | None = None,
    ) -> None:
        sizes = [0, 0]
        starts = []
        for layer, color in zip(graph.layers, colors, strict=True):
            starts.append(sizes[color])
            sizes[color] += layer.n_neurons
        small = int(sizes[1] <= sizes[0])
        neuron_colors = torch.repeat_interleave(
            torch.tensor(colors), torch.tensor(graph.layer_sizes)
        ).to(scale.device)
        self.size, self.large_size = sizes[small], sizes[1 - small]
        self._small = (neuron_colors == small).nonzero().squeeze(1)
        self._large = (neuron_colors != small).nonzero().squeeze(1)
        self._scale = scale[..., self._small], scale[..., self._large]
        self.trivial = _normalize(trivial[..., self._small])
        # Rows on the large side, rows on the small side, the strengths, and whether these lie
        # transposed, small x large.
        self._blocks: list[tuple[slice, slice, Tensor, bool]] = []
        for block in graph.blocks:
            turned = colors[block.source] == small
            ends = (block.target, block.source) if turned else (block.source, block.target)
            spans = [slice(starts[e], starts[e] + graph.layers[e].n_neurons) for e in ends]
            self._blocks.append((spans[0], spans[1], block.strengths, turned))
        self.factor: SparseFactor | None = None
        if sparse is not None:
            rows = (sparse.first, sparse.neighbors, sparse.strengths)
            sides = (self._small.numpy(), self._large.numpy())
            self.factor = sparse_factor(*rows, scale.numpy(), *sides)

    def apply(self, vectors: Tensor) -> Tensor:
        """Return (B'B - t t') @ vectors."""
        image = self._to_small(self._to_large(vectors))
        trivial = self.trivial.to(vectors.dtype)
        return image - trivial[..., None] * (trivial[..., None, :] @ vectors)

    def start(self, noise: Tensor) -> Tensor:
        """Return the noise itself."""
        return noise

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Return B'B - t t'; only the lower triangle is filled."""
        by_rows: dict[int, list[tuple[slice, Tensor]]] = {}
        scale_small, scale_large = (scale.to(dtype) for scale in self._scale)
        for large, small, strengths, turned in self._blocks:
            scaled = (strengths.mT if turned else strengths) * scale_large[large, None]
            by_rows.setdefault(large.start, []).append((small, scaled))
        gram = torch.zeros(self.size, self.size, dtype=dtype)
        for parts in by_rows.values():
            for columns, left in parts:
                for others, right in parts:
                    if columns.start >= others.start:
                        gram[columns, others] += _gram(left) if left is right else left.mT @ right
        gram *= scale_small[:, None] * scale_small
        trivial = self.trivial.to(dtype)
        return gram.addr_(trivial, trivial, alpha=-1)

    def finish(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Rotate the vectors, and complete them on the large side as B v / sigma."""
        small = _orthogonal_to(self.trivial, vectors.double())
        large = _image(self._to_large, small, vectors.dtype)
        squares, rotation = torch.linalg.eigh(large.mT @ large)
        values = squares.flip(-1).clamp_min(0).sqrt()
        rotation = rotation.flip(-1)
        inverse = torch.where(values > SMALLEST_EIGENVALUE, values.reciprocal(), 0)
        known = (values > SMALLEST_EIGENVALUE).double()
        full = small.new_empty(*small.shape[:-2], self.size + self.large_size, small.shape[-1])
        full[..., self._small, :] = (small @ rotation) * (known * 0.5**0.5)[..., None, :]
        full[..., self._large, :] = (large @ rotation) * (inverse * 0.5**0.5)[..., None, :]
        return values * known, full

    def _to_large(self, vectors: Tensor) -> Tensor:
        """Return B @ vectors."""
        n_vectors = vectors.shape[-1]
        is_single = vectors.dtype == torch.float32
        if self.factor is not None and is_single and n_vectors % PRODUCT_WIDTH == 0:
            return torch.from_numpy(self.factor.product(vectors.numpy()))
        scale_small, scale_large = (scale.to(vectors.dtype)[..., None] for scale in self._scale)
        scaled = (vectors * scale_small).contiguous()  # from QR by columns: several times slower
        image = vectors.new_zeros(*vectors.shape[:-2], self.large_size, vectors.shape[-1])
        for large, small, strengths, turned in self._blocks:
            multiply = transposed_matmul if turned else matmul
            image[..., large, :] += multiply(strengths, scaled[..., small, :])
        return image * scale_large

    def _to_small(self, vectors: Tensor) -> Tensor:
        """Return B' @ vectors."""
        scale_small, scale_large = (scale.to(vectors.dtype)[..., None] for scale in self._scale)
        scaled = (vectors * scale_large).contiguous()
        image = vectors.new_zeros(*vectors.shape[:-2], self.size, vectors.shape[-1])
        for large, small, strengths, turned in self._blocks:
            multiply = matmul if turned else transposed_matmul
            image[..., small, :] += multiply(strengths, scaled[..., large, :])
        return image * scale_small


class GeneralProblem:
    """The problem of M itself, for graphs of layers that are not two-colorable.

    Unlike B'B, M has large negative eigenvalues too.
    """

    def __init__(self, graph: NeuronGraph, scale: Tensor, trivial: Tensor) -> None:
        self.size = graph.n_neurons
        self._graph, self._scale, self.trivial = graph, scale, _normalize(trivial)

    def apply(self, vectors: Tensor) -> Tensor:
        """Return (M - t t') @ vectors."""
        scale = self._scale.to(vectors.dtype)[..., None]
        trivial = self.trivial.to(vectors.dtype)
        image = scale * self._graph.product((scale * vectors).contiguous())
        return image - trivial[..., None] * (trivial[..., None, :] @ vectors)

    def start(self, noise: Tensor) -> Tensor:
        """Return eigenvectors of the graph of layers, spread over the neurons, plus a little noise.

        Where the strengths within a block are similar, as in shuffles and random networks, leading
        eigenvectors of M are nearly D^1/2 times one number per layer. In other networks this start
        costs little: the second block of the iteration is the rescaled residual of the first.
        """
        totals = _layer_totals(self._graph)
        width = min(noise.shape[-1], totals.shape[-1] - 1)
        if totals.shape[-1] > MOST_LAYERS or width == 0:
            return noise
        volumes = totals.sum(-1)
        roots = torch.where(volumes > 0, volumes.rsqrt(), 0)
        values, vectors = torch.linalg.eigh(roots[..., None] * totals * roots[..., None, :])
        # The last is the trivial vector. Vectors of negative eigenvalues are not wanted.
        leading = vectors[..., -1 - width : -1] * (values[..., None, -1 - width : -1] > 0)
        sizes = torch.tensor(self._graph.layer_sizes, device=noise.device)
        spread = torch.repeat_interleave(leading * roots[..., None], sizes, dim=-2)
        degree_roots = torch.where(self._scale > 0, self._scale.reciprocal(), 0)
        start: Tensor = noise * (NOISE / self.size**0.5)
        start[..., :width] += (spread * degree_roots[..., None]).to(noise.dtype)
        return start

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Return M - t t', both triangles filled."""
        return self.apply(torch.eye(self.size, dtype=dtype))

    def finish(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Rotate the vectors to eigenvectors; set those without a positive eigenvalue to 0."""
        basis = _orthogonal_to(self.trivial, vectors.double())
        values, rotation = torch.linalg.eigh(basis.mT @ _image(self.apply, basis, vectors.dtype))
        values, rotation = values.flip(-1), rotation.flip(-1)
        known = (values > SMALLEST_EIGENVALUE).double()
        return values * known, (basis @ rotation) * known[..., None, :]


def _layer_totals(graph: NeuronGraph) -> Tensor:
    """Return the adjacency matrix of the layers, (..., n_layers, n_layers): summed strengths."""
    sums = [fast_total(block.strengths) for block in graph.blocks]
    totals = sums[0].new_zeros(*sums[0].shape, len(graph.layers), len(graph.layers))
    for block, total in zip(graph.blocks, sums, strict=True):
        totals[..., block.source, block.target] += total
        totals[..., block.target, block.source] += total
    return totals


def _gram(matrix: Tensor) -> Tensor:
    """Return matrix' @ matrix by NumPy, which uses the symmetry to do half the work."""
    array = matrix.numpy()
    return torch.from_numpy(array.T @ array)


def _image(apply: Callable[[Tensor], Tensor], basis: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the image of a float64 basis; by a product in ``dtype``, that of the solver's vectors.

    Vectors found in float32 are wrong by more than such a product's rounding.
    """
    if dtype == basis.dtype:
        return apply(basis)
    width = basis.shape[-1]
    padded = torch.nn.functional.pad(basis.to(dtype), (0, -width % PRODUCT_WIDTH))
    return apply(padded)[..., :width].double()


def _normalize(vector: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    return vector / norm.clamp_min(1e-300)


def _orthogonal_to(unit: Tensor, vectors: Tensor) -> Tensor:
    """Return orthonormal columns that span ``vectors`` less their part along ``unit``.

    This is one QR with ``unit`` in front. Where the span of ``vectors`` contains ``unit``, as
    it can if too few eigenvalues are positive, another direction takes its place.
    """
    columns: Tensor = torch.linalg.qr(torch.cat([unit[..., None], vectors], dim=-1))[0]
    return columns[..., 1:].contiguous()
