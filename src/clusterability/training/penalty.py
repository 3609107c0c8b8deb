"""The penalties that training adds to the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from clusterability.penalties import L1, L2
from clusterability.training.clusters import KernelClusters
from clusterability.training.spec import TrainingSpec


class Penalty(Protocol):
    """A function of all parameters of a network at once, for each run of a stack by itself.

    Parameters are known by their names in the state dict, and each has a leading axis of
    ``n_runs``: kernels, biases, and scales and statistics of batch norm. The gradient is by hand,
    not by autograd, since a stack of MLPs is trained without autograd's graph.

    Each epoch is trained with new instances. So an instance may keep a state from one step to the
    next, such as the start of an iteration, and a run that was stopped between epochs still goes on
    to the same weights.

    On a GPU a penalty with a true attribute ``is_recordable`` does the same operations on the same
    tensors at each step and never waits for the device; see :mod:`.recorded_step`.
    """

    def value(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty of each run, (n_runs,), already weighted."""

    def add_gradient(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Add the gradient of the penalty in place.

        Args:
            parameters: (n_runs, ...) each; not changed.
            gradients: of the loss with respect to the parameters that are trained, by the same
                names and of the same shapes; statistics of batch norm have none.
        """


def penalties_of(
    spec: TrainingSpec, kernel_names: Sequence[str], clusters: KernelClusters | None = None
) -> list[Penalty]:
    """Return new instances of the penalties that a spec asks for.

    Args:
        spec: has the weights of all penalties.
        kernel_names: names of all kernels in the order of the layers.
        clusters: of the neurons, if the spec gives them tags.
    """
    l1 = dict.fromkeys(kernel_names, spec.l1)
    l2 = dict.fromkeys(kernel_names, spec.l2)
    if spec.mixed_l2:
        first = kernel_names[0]
        l1[first] += l2.pop(first)
    asked = ((kind, _nonzero(weights)) for kind, weights in ((L1, l1), (L2, l2)))
    penalties: list[Penalty] = [kind(weights) for kind, weights in asked if weights]
    # A training without these need not wait for numba.
    if spec.eigenvalue_penalty:
        from clusterability.penalties import Eigenvalues

        choices = (spec.eigenvalue_penalty, spec.eigenvalues, spec.eigenvalue_every)
        penalties.append(Eigenvalues(kernel_names, *choices))
    if clusters is not None and (spec.group_lasso or spec.partition_penalty):
        from clusterability.penalties import GroupNorms, PartitionCut

        tags, n_clusters = clusters.tags, clusters.n_clusters
        if spec.group_lasso:
            penalties.append(GroupNorms(tags, spec.group_lasso, n_clusters))
        if spec.partition_penalty:
            penalties.append(PartitionCut(tags, spec.partition_penalty, n_clusters))
    return penalties


def _nonzero(weights: Mapping[str, float]) -> dict[str, float]:
    return {name: weight for name, weight in weights.items() if weight}
