"""The clusters that the neurons of networks in training have."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from clusterability.penalties.clusters import KernelTags


@dataclass(frozen=True, eq=False)
class KernelClusters:
    """The tags of the kernels that join layers with tags.

    Attributes:
        tags: of their inputs and outputs, on the device of the networks.
        n_clusters: number of clusters.
        are_pruned_apart: whether pruning takes weights between clusters before all others.
    """

    tags: KernelTags = field(default_factory=dict)
    n_clusters: int = 0
    are_pruned_apart: bool = False

    def goes_first(self, name: str, kernels: Tensor) -> Tensor | None:
        """Return which weights of kernels (n_runs, out, in, ...) are pruned before all others."""
        if not self.are_pruned_apart or name not in self.tags:
            return None
        inputs, outputs = (tags for tags in self.tags[name])
        inputs, outputs = inputs[:, None, :], outputs[:, :, None]
        between = (inputs != outputs) & (inputs >= 0) & (outputs >= 0)
        return between.view(*between.shape, *[1] * (kernels.ndim - 3)).expand_as(kernels)
