"""Choices of a training spec that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterability.errors import InputError
from clusterability.training.networks import NETWORKS

if TYPE_CHECKING:
    from clusterability.training.spec import TrainingSpec


def check_clusters(spec: TrainingSpec) -> None:
    """Refuse choices about clusters that contradict each other.

    Raises:
        InputError: that names them.
    """
    if not spec.clusterable_init and (
        spec.beta != 0.6 or (spec.tags != 10 and not spec.has_clusters)
    ):
        raise InputError(
            f"tags are {spec.tags} and beta is {spec.beta}, but clusterable_init is not asked "
            "for; give it too, or for tags alone modular_pruning, group_lasso or partition_penalty"
        )
    if spec.tag_layers != "hidden" and not spec.has_clusters:
        raise InputError(
            f"tag_layers is {spec.tag_layers!r}, but no clusters are asked for; give "
            "modular_pruning, group_lasso or partition_penalty too"
        )
    if spec.modular_pruning and not spec.pruning_epochs:
        raise InputError(
            "modular_pruning is asked for, but no epochs of pruning; give pruning_epochs"
        )
    if spec.partition_penalty and not NETWORKS[spec.network].is_mlp:
        raise InputError(
            f"partition_penalty is asked for, but network {spec.network!r} is no MLP; use "
            "group_lasso, or train an MLP"
        )
