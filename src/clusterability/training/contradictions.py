"""Choices of a training spec that contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clusterability.errors import InputError
from clusterability.training.networks import NETWORKS

if TYPE_CHECKING:
    from clusterability.training.spec import TrainingSpec


EIGENVALUES = (2, 3, 4)
"""The eigenvalues of which the paper's penalty is the mean."""


def check_together(spec: TrainingSpec) -> None:
    """Refuse choices that contradict each other.

    Raises:
        InputError: that names them.
    """
    checks: tuple[Callable[[TrainingSpec], None], ...] = (
        _check_dropout,
        _check_pruning,
        _check_clusters,
        _check_network,
        _check_eigenvalues,
        _check_stack,
    )
    for check in checks:
        check(spec)


def _check_dropout(spec: TrainingSpec) -> None:
    if spec.dropout_rate is not None and not spec.dropout:
        raise InputError(
            f"dropout_rate is {spec.dropout_rate}, but dropout is not asked for; give it too"
        )


def _check_pruning(spec: TrainingSpec) -> None:
    if spec.initial_sparsity > spec.final_sparsity:
        raise InputError(
            f"initial_sparsity is {spec.initial_sparsity}, above the final_sparsity of "
            f"{spec.final_sparsity}; pruned weights do not come back, so give at most that"
        )
    if spec.mixed_l2 and not spec.l2:
        raise InputError("mixed_l2 is asked for without l2; give the weight l2 too")
    if spec.pruned_norm != "weights" and not spec.normalize:
        raise InputError(
            f"pruned_norm is {spec.pruned_norm!r}, but normalize is not asked for; give it too"
        )


def _check_network(spec: TrainingSpec) -> None:
    """Refuse choices that an MLP has not, or only an MLP has."""
    is_mlp = NETWORKS[spec.network].is_mlp
    if spec.augment and is_mlp:
        raise InputError(
            f"augment is asked for, but network {spec.network!r} takes images flattened; "
            "leave it out, or train a CNN"
        )
    if spec.precision != "float32" and is_mlp:
        raise InputError(
            f"precision is {spec.precision!r}, but network {spec.network!r} is an MLP, which is "
            "trained in float32; leave it out, or train a CNN"
        )
    if spec.pruned_norm != "weights" and not is_mlp:
        raise InputError(
            f"pruned_norm is {spec.pruned_norm!r}, but network {spec.network!r} is no MLP; "
            "leave it out, or train an MLP"
        )
    if spec.eigenvalue_penalty and not is_mlp:
        raise InputError(
            f"eigenvalue_penalty is asked for, but network {spec.network!r} is no MLP; leave "
            "it out, or train an MLP"
        )
    if spec.partition_penalty and not is_mlp:
        raise InputError(
            f"partition_penalty is asked for, but network {spec.network!r} is no MLP; use "
            "group_lasso, or train an MLP"
        )


def _check_eigenvalues(spec: TrainingSpec) -> None:
    defaults = {"eigenvalues": EIGENVALUES, "eigenvalue_every": 1}
    for name, default in defaults.items():
        if getattr(spec, name) != default and not spec.eigenvalue_penalty:
            raise InputError(
                f"{name} is chosen without eigenvalue_penalty; give the weight "
                "eigenvalue_penalty too"
            )


def _check_stack(spec: TrainingSpec) -> None:
    if not spec.stack:
        return
    if spec.seed not in spec.stack or len(set(spec.stack)) < len(spec.stack):
        raise InputError(
            f"stack is {spec.stack}, expected different seeds with the run's own, {spec.seed}"
        )
    if not NETWORKS[spec.network].is_mlp or spec.retrain_below:
        raise InputError(
            f"stack is {spec.stack}, but only MLPs without retrain_below are trained in one; "
            "leave it empty"
        )


def _check_clusters(spec: TrainingSpec) -> None:
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
