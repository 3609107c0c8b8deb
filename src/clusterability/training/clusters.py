"""The clusters that the neurons of networks in training have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from clusterability.errors import InputError

if TYPE_CHECKING:
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

    def check_room(self, parameters: Mapping[str, Tensor], final_sparsity: float) -> None:
        """Refuse a sparsity that leaves a kernel fewer weights than clusters.

        Args:
            parameters: of one network.
            final_sparsity: share of zeros at the end of pruning.

        Raises:
            InputError: that names the kernel.
        """
        for name in self.tags:
            n = parameters[name].numel()
            n_left = n - round(final_sparsity * n)
            if n_left < self.n_clusters:
                raise InputError(
                    f"final_sparsity is {final_sparsity:g}, which leaves {n_left} weights of "
                    f"{name!r} to {self.n_clusters} clusters; each needs one at least: give a "
                    "lower sparsity, or fewer tags"
                )

    def goes_first(self, name: str, kernels: Tensor) -> Tensor | None:
        """Return which weights of kernels (n_runs, out, in, ...) are pruned before all others."""
        if not self.are_pruned_apart or name not in self.tags:
            return None
        inputs, outputs = (tags for tags in self.tags[name])
        inputs, outputs = inputs[:, None, :], outputs[:, :, None]
        between = (inputs != outputs) & (inputs >= 0) & (outputs >= 0)
        return between.view(*between.shape, *[1] * (kernels.ndim - 3)).expand_as(kernels)
