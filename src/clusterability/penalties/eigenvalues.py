"""The mean of chosen eigenvalues of the normalized Laplacian, with its gradient in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clusterability.arguments import eigenvalue_indices
from clusterability.compiling import can_compile, compiled
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.spectral.degrees import add_sums
from clusterability.spectral.following import DENSE_SIDE, Eigenpairs, Follower


class MeanEigenvalue:
    """The mean of eigenvalues of L_norm of a graph whose strengths change step by step.

    An isolated neuron has the eigenvalue 1. Where eigenvalues are equal, the mean is differentiable
    if all of them are chosen or none.

    Args:
        eigenvalues: indices from 2 on, in ascending order of the eigenvalues.
        dense_side: graphs of up to this many neurons are solved as one matrix.

    Attributes:
        follower: finds the eigenpairs, each time from those before.

    >>> from clusterability import toy
    >>> MeanEigenvalue([2])(toy.path())
    tensor(0.5000)
    """

    def __init__(self, eigenvalues: Collection[int], dense_side: int = DENSE_SIDE) -> None:
        self.eigenvalues = eigenvalue_indices("eigenvalues", eigenvalues)
        self.follower = Follower(self.eigenvalues[-1], dense_side)

    def __call__(self, graph: NeuronGraph) -> Tensor:
        """Return the mean of each graph of a batch, differentiable in the strengths.

        Raises:
            InputError: if there are too few neurons for the eigenvalues.
        """
        strengths = (block.strengths for block in graph.blocks)
        mean: Tensor = _Mean.apply(self, graph, *strengths)  # type: ignore[no-untyped-call]
        return mean

    def slope(self, graph: NeuronGraph) -> Slope:
        """Return the mean with what its gradient is made of."""
        return Slope.of(self.eigenpairs(graph), graph.layer_sizes)

    def eigenpairs(self, graph: NeuronGraph, degrees: Tensor | None = None) -> Eigenpairs:
        """Return the chosen eigenvalues and their eigenvectors."""
        found = self.follower(graph, degrees)
        chosen = [index - 2 for index in self.eigenvalues]
        first, last = chosen[0], chosen[-1] + 1
        # A slice is a view; an index makes a copy.
        which = slice(first, last) if last - first == len(chosen) else chosen
        return Eigenpairs(found.values[..., which], found.rows[..., which, :])


@dataclass(frozen=True, eq=False)
class Slope:
    """A mean of eigenvalues, and factors of its gradient with respect to the strengths.

    With eigenvectors y' D y = 1, an eigenvalue's derivative with respect to the strength between i
    and j is (1 - lambda) (y_i^2 + y_j^2) - 2 y_i y_j.

    Attributes:
        mean: (...).
        left, right: for each layer (..., 2 + n_eigenvalues, n_neurons); the gradient of the
            strengths between two layers is left' right.
    """

    mean: Tensor
    left: tuple[Tensor, ...]
    right: tuple[Tensor, ...]

    @classmethod
    def of(cls, found: Eigenpairs, layer_sizes: list[int]) -> Slope:
        """Return that of the mean of all of these eigenvalues."""
        sigma, share = 1 - found.values, 1 / found.values.shape[-1]
        squares = (sigma[..., None] * found.rows.square()).sum(-2, keepdim=True)
        right = torch.cat([torch.ones_like(squares), squares, found.rows], -2)
        left = torch.cat(
            [squares * share, right[..., :1, :] * share, found.rows * (-2 * share)], -2
        )
        parts = (torch.split(factor, layer_sizes, -1) for factor in (left, right))
        return cls(found.values.mean(-1), *parts)

    def between(self, source: int, target: int) -> Tensor:
        """Return the gradient of the strengths between two layers, (..., n_source, n_target)."""
        return self.left[source].mT @ self.right[target]


class _Mean(torch.autograd.Function):
    """The mean as a function of the blocks' strengths."""

    @staticmethod
    def forward(ctx: _Context, mean: MeanEigenvalue, graph: NeuronGraph, *_: Tensor) -> Tensor:
        with torch.autocast(graph.device.type, enabled=False):
            slope = mean.slope(graph)
        ctx.ends = [(block.source, block.target) for block in graph.blocks]
        ctx.n_layers = len(graph.layers)
        ctx.save_for_backward(slope.mean, *slope.left, *slope.right)
        return slope.mean

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, weight: Tensor) -> tuple[Tensor | None, ...]:
        mean, *factors = ctx.saved_tensors
        left = [weight[..., None, None] * factor for factor in factors[: ctx.n_layers]]
        slope = Slope(mean, tuple(left), tuple(factors[ctx.n_layers :]))
        needed = zip(ctx.ends, ctx.needs_input_grad[2:], strict=True)
        with torch.autocast(mean.device.type, enabled=False):
            of_blocks = [slope.between(*ends) if needs else None for ends, needs in needed]
        return None, None, *of_blocks


class _Context:
    """What torch's context holds here; for the type checker."""

    ends: Sequence[tuple[int, int]]
    n_layers: int
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class Eigenvalues:
    """The weighted mean of eigenvalues of an MLP's graph, for each network of a stack.

    Args:
        kernel_names: of the kernels, (n_runs, out, in) each, in the order of the layers.
        weight: factor of the mean.
        eigenvalues: as of :class:`MeanEigenvalue`.
        every: the gradient is added at every so many steps, so many times as large.

    >>> penalty = Eigenvalues(["fc1.weight", "fc2.weight"], 0.5, [2])
    >>> kernels = {"fc1.weight": torch.ones(1, 2, 1), "fc2.weight": torch.ones(1, 1, 2)}
    >>> penalty.value(kernels)
    tensor([0.5000])
    """

    def __init__(
        self,
        kernel_names: Sequence[str],
        weight: float,
        eigenvalues: Collection[int],
        every: int = 1,
    ) -> None:
        self.kernel_names, self.weight = tuple(kernel_names), weight
        self.mean, self.every = MeanEigenvalue(eigenvalues), every
        self._kept: tuple[NeuronGraph, list[Tensor]] | None = None
        self._n_steps = 0

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,)."""
        return self.weight * self.mean.slope(self._graph(parameters)).mean

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place; that of ``|w|`` at 0 is 0."""
        if self._n_steps % self.every == 0:
            kernels, into = (
                [held[name] for name in self.kernel_names] for held in (parameters, gradients)
            )
            self.add_slope(kernels, into, self.every)
        self._n_steps += 1

    def add_slope(
        self, kernels: Sequence[Tensor], into: Sequence[Tensor], times: int = 1
    ) -> Tensor:
        """Add the gradient to ``into``, and return the mean of each run without the weight.

        Args:
            kernels: (n_runs, out, in) each, in the order of the layers.
            into: of the same shapes.
            times: factor of the gradient, beside the weight.
        """
        weight = times * self.weight
        if can_compile(*kernels, *into):
            graph, degrees = self._graph_and_degrees(kernels)
            found, offsets = self.mean.eigenpairs(graph, degrees), graph.offsets
            terms = _Terms(found)
            for i, pair in enumerate(zip(kernels, into, strict=True)):
                terms.add_gradient(*pair, int(offsets[i]), int(offsets[i + 1]), weight)
            return found.values.mean(-1)
        graph = _chain([kernel.abs().mT for kernel in kernels])
        slope = self.mean.slope(graph)
        for i, (kernel, gradient) in enumerate(zip(kernels, into, strict=True)):
            of_strengths = slope.right[i + 1].mT @ slope.left[i]
            gradient.addcmul_(of_strengths, kernel.sign(), value=weight)
        return slope.mean

    def _graph_and_degrees(self, kernels: Sequence[Tensor]) -> tuple[NeuronGraph, Tensor]:
        """Return the graph, one object while the shapes stay, its strengths made in one pass."""
        if self._kept is None or any(map(_differ, kernels, self._kept[1])):
            kept = [torch.empty_like(kernel) for kernel in kernels]
            self._kept = _chain([strengths.mT for strengths in kept]), kept
        graph, kept = self._kept
        degrees = kernels[0].new_zeros(len(kernels[0]), graph.n_neurons)
        for i, pair in enumerate(zip(kernels, kept, strict=True)):
            add_sums(*pair, degrees, int(graph.offsets[i + 1]), int(graph.offsets[i]))
        return graph, degrees

    def _graph(self, parameters: Mapping[str, Tensor]) -> NeuronGraph:
        return _chain([parameters[name].abs().mT for name in self.kernel_names])


def _differ(first: Tensor, second: Tensor) -> bool:
    return first.shape != second.shape or first.dtype != second.dtype


def _chain(strengths: Sequence[Tensor]) -> NeuronGraph:
    sizes = [strengths[0].shape[-2], *(block.shape[-1] for block in strengths)]
    layers = tuple(Layer(f"layer{i}", size) for i, size in enumerate(sizes))
    blocks = tuple(Block(i, i + 1, block) for i, block in enumerate(strengths))
    return NeuronGraph.unchecked(layers, blocks)


class _Terms:
    """The eigenpairs of which the compiled loop makes the gradient of their mean.

    Differs from :class:`Slope` in that the sum for each weight is made in the cache and added to
    the gradient at once, with the weight's sign.
    """

    def __init__(self, found: Eigenpairs) -> None:
        self._rows = found.rows.contiguous().numpy()
        self._squares = _mean_squares(found.values.contiguous().numpy(), self._rows)

    def add_gradient(
        self, kernel: Tensor, gradient: Tensor, source: int, target: int, weight: float
    ) -> None:
        """Add that of a kernel, (n_runs, out, in), between layers that begin at these neurons."""
        weights = kernel.numpy()
        scale = weights.dtype.type(weight)
        _add_terms(weights, gradient.numpy(), self._squares, self._rows, source, target, scale)


@compiled(reorder=True)
def _mean_squares(values, rows):  # type: ignore[no-untyped-def]
    """Return the mean of (1 - lambda) y^2, (n_runs, n_neurons)."""
    n_runs, n, n_neurons = rows.shape
    squares = np.zeros((n_runs, n_neurons), rows.dtype)
    one = rows.dtype.type(1)
    for run in range(n_runs):
        for k in range(n):
            share = (one - values[run, k]) / rows.dtype.type(n)
            for i in range(n_neurons):
                squares[run, i] += share * rows[run, k, i] * rows[run, k, i]
    return squares


@compiled(reorder=True)
def _add_terms(  # type: ignore[no-untyped-def]
    kernels, gradients, squares, rows, source, target, scale
):
    n_runs, n_out, n_in = kernels.shape
    n = rows.shape[1]
    terms = np.empty(n_in, kernels.dtype)
    factor = rows.dtype.type(-2) / rows.dtype.type(n)
    for run in range(n_runs):
        of_inputs = squares[run, source : source + n_in]
        for j in range(n_out):
            o = target + j
            for i in range(n_in):
                terms[i] = of_inputs[i] + squares[run, o]
            for k in range(0, n - n % 4, 4):
                y0, y1 = factor * rows[run, k, o], factor * rows[run, k + 1, o]
                y2, y3 = factor * rows[run, k + 2, o], factor * rows[run, k + 3, o]
                x0, x1 = rows[run, k, source:], rows[run, k + 1, source:]
                x2, x3 = rows[run, k + 2, source:], rows[run, k + 3, source:]
                for i in range(n_in):
                    terms[i] += y0 * x0[i] + y1 * x1[i] + y2 * x2[i] + y3 * x3[i]
            for k in range(n - n % 4, n):
                y0, x0 = factor * rows[run, k, o], rows[run, k, source:]
                for i in range(n_in):
                    terms[i] += y0 * x0[i]
            weights, added = kernels[run, j], gradients[run, j]
            for i in range(n_in):
                signed = terms[i] if weights[i] > 0 else -terms[i]
                added[i] += scale * signed if weights[i] != 0 else terms[i] - terms[i]
