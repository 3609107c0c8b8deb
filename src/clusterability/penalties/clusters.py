"""Penalties of what joins clusters of neurons that are given, for each network of a stack."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clusterability.penalties.pairs import Pairs, group_norms, partition_cut, widened

KernelTags = Mapping[str, tuple[Tensor, Tensor]]
"""By the name of a kernel: the cluster of each input, (n_runs, in), and output, (n_runs, out)."""


class GroupNorms:
    """The weighted group lasso between clusters: sum of c sqrt(n) norm(W) over blocks of kernels.

    W are the weights from one cluster to another, n their number; blocks inside a cluster are free.

    Args:
        tags: of the kernels; -1 where a neuron has none.
        weight: c.
        n_clusters: number of clusters.

    >>> penalty = GroupNorms({"fc2.weight": (torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))}, 1, 2)
    >>> penalty.value({"fc2.weight": torch.tensor([[[5.0, 3.0], [-4.0, 5.0]]])})
    tensor([7.])
    """

    def __init__(self, tags: KernelTags, weight: float, n_clusters: int) -> None:
        self.weight = weight
        self.pairs = _pairs(tags, n_clusters)
        self._kept_factors: Tensor | None = None

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,), of kernels (n_runs, out, in, ...)."""
        values, _ = self._norms(parameters)
        return values.sum(0)

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place; that of a block of zeros is 0."""
        _, slopes = self._norms(parameters)
        for (name, pairs), slope in zip(self.pairs.items(), widened(slopes), strict=True):
            pairs.add_products_(gradients[name], parameters[name], slope, signs=False)

    def _norms(self, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the norms of each kernel, (n_kernels, n_runs), and slopes (..., k, k)."""
        factors = self._factors(parameters)
        squares = torch.zeros_like(widened(factors))
        for (name, pairs), table in zip(self.pairs.items(), squares, strict=True):
            pairs.add_sums_(table, parameters[name], squared=True)
        return group_norms(squares[..., :-1, :-1], factors)

    def _factors(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return c sqrt(n) of each block, (n_kernels, n_runs, k, k), 0 inside a cluster."""
        if self._kept_factors is None:
            factors = []
            for name, pairs in self.pairs.items():
                rows, columns = pairs.sizes
                n_window = parameters[name][0, 0, 0].numel()
                numbers = rows[:, :, None] * columns[:, None, :] * n_window
                factors.append(self.weight * numbers.sqrt())
                factors[-1].diagonal(dim1=-2, dim2=-1).zero_()
            self._kept_factors = torch.stack(factors).to(parameters[name])
        return self._kept_factors


class PartitionCut:
    """The weighted n-cut of clusters that are given, over the kernels that join them.

    Args:
        tags: of the kernels; -1 where a neuron has none.
        weight: factor of the n-cut.
        n_clusters: number of clusters.

    >>> tags = {"fc2.weight": (torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))}
    >>> PartitionCut(tags, 1, 2).value({"fc2.weight": torch.tensor([[[3.0, 1.0], [-1.0, 3.0]]])})
    tensor([0.5000])
    """

    def __init__(self, tags: KernelTags, weight: float, n_clusters: int) -> None:
        self.weight = weight
        self.pairs = _pairs(tags, n_clusters)
        self._n_tags = n_clusters + 1

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,), of kernels (n_runs, out, in, ...)."""
        return self.weight * self._cut(parameters)[0]

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient to ``gradients`` in place; that of ``|w|`` at 0 is 0."""
        slope = widened(self.weight * self._cut(parameters)[1])
        for name, pairs in self.pairs.items():
            pairs.add_products_(gradients[name], parameters[name], slope, signs=True)

    def _cut(self, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        kernels = parameters[next(iter(self.pairs))]
        strengths = kernels.new_zeros(len(kernels), self._n_tags, self._n_tags)
        for name, pairs in self.pairs.items():
            pairs.add_sums_(strengths, parameters[name], squared=False)
        return partition_cut(strengths[:, :-1, :-1])


def _pairs(tags: KernelTags, n_clusters: int) -> dict[str, Pairs]:
    """Return the kernels with tags at both ends, in which outputs are rows."""
    return {
        name: Pairs(outputs, inputs, n_clusters)
        for name, (inputs, outputs) in tags.items()
        if bool((inputs >= 0).any()) and bool((outputs >= 0).any())
    }
