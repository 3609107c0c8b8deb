"""The mean of chosen eigenvalues of the normalized Laplacian, with its gradient in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clusterability.arguments import eigenvalue_indices
from clusterability.graph import Block, Layer, NeuronGraph
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
        found = self.follower(graph)
        chosen = [index - 1 for index in self.eigenvalues]
        first, last = chosen[0], chosen[-1] + 1
        # A slice is a view; an index makes a copy.
        which = slice(first, last) if last - first == len(chosen) else chosen
        pairs = Eigenpairs(found.values[..., which], found.rows[..., which, :])
        return Slope.of(pairs, graph.layer_sizes)


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
        every: the gradient is computed at every so many steps, and kept for the others.

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
        self._n_steps = 0
        self._kept: list[Tensor] = []

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,)."""
        return self.weight * self.mean.slope(self._graph(parameters)).mean

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place; that of ``|w|`` at 0 is 0."""
        if self.every == 1:
            slope = self.mean.slope(self._graph(parameters))
            for i, name in enumerate(self.kernel_names):
                of_strengths = slope.right[i + 1].mT @ slope.left[i]
                gradients[name].addcmul_(of_strengths, parameters[name].sign(), value=self.weight)
            return
        if self._n_steps % self.every == 0:
            slope = self.mean.slope(self._graph(parameters))
            self._kept = [
                (slope.right[i + 1].mT @ slope.left[i]).mul_(parameters[name].sign())
                for i, name in enumerate(self.kernel_names)
            ]
        self._n_steps += 1
        for name, kept in zip(self.kernel_names, self._kept, strict=True):
            gradients[name].add_(kept, alpha=self.weight)

    def _graph(self, parameters: Mapping[str, Tensor]) -> NeuronGraph:
        strengths = [parameters[name].abs().mT for name in self.kernel_names]
        sizes = [strengths[0].shape[-2], *(block.shape[-1] for block in strengths)]
        layers = tuple(Layer(f"layer{i}", size) for i, size in enumerate(sizes))
        blocks = tuple(Block(i, i + 1, block) for i, block in enumerate(strengths))
        return NeuronGraph.unchecked(layers, blocks)
