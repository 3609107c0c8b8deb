"""Whether a spec fits a data set, and how much work the training is."""

from __future__ import annotations

import torch
from torch import nn

from clusterability.datasets import Dataset
from clusterability.errors import InputError
from clusterability.training.drawing import draw_network
from clusterability.training.networks import NETWORKS
from clusterability.training.randomness import Randomness
from clusterability.training.spec import TrainingSpec
from clusterability.workers import available_workers

MUCH_WORK = 10**12
"""Floating-point operations from which on a training outweighs starting worker processes."""

SMALL_STEP = 10**7
"""Weights times samples of a batch, below which a second thread makes a step slower."""


def check_fit(spec: TrainingSpec, dataset: Dataset) -> None:
    """Raise if the network cannot be trained on the data; called before anything is written.

    Raises:
        InputError: if the loss, the shape of the inputs or the size of the last batch does not fit.
    """
    is_regression = dataset.n_classes is None
    if is_regression != NETWORKS[spec.network].regression:
        kind = "a regression" if is_regression else "a classification"
        fitting = [n for n, network in NETWORKS.items() if network.regression == is_regression]
        raise InputError(
            f"network {spec.network!r} does not fit {dataset.name!r}, which is {kind}; use one of "
            f"{', '.join(fitting)}"
        )
    if spec.augment and dataset.train.x.ndim != 4:
        raise InputError(f"augment is asked for, but {dataset.name!r} has no images; leave it out")
    _check_clusters(spec, dataset)
    network = _blank(spec, dataset)
    has_norms = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network)
    n_samples = len(dataset.train.x)
    assert spec.batch_size is not None
    if has_norms and (n_samples - 1) % spec.batch_size == 0:
        raise InputError(
            f"batch_size is {spec.batch_size}, which leaves one of {n_samples:,} samples to the "
            "last batch, but batch norm needs two; give another"
        )


def _check_clusters(spec: TrainingSpec, dataset: Dataset) -> None:
    """Draw the tags once, which refuses layers with fewer neurons than tags."""
    if spec.has_clusters:
        draw_network(spec, dataset.train.x.shape[1:], _n_outputs(dataset), Randomness(spec.seed))


def is_worth_processes(spec: TrainingSpec, dataset: Dataset, n_runs: int) -> bool:
    """Return whether training outweighs starting worker processes.

    False for networks that are registered only in this process.
    """
    if NETWORKS.is_local(spec.network):
        return False
    n_epochs = sum(spec.phase_epochs(phase) for phase in range(len(spec.phases)))
    n_steps = len(dataset.train.x) * n_epochs * n_runs
    return 6 * _n_weights(spec, dataset) * n_steps > MUCH_WORK


def default_threads(spec: TrainingSpec, dataset: Dataset) -> int:
    """Return the number of torch's threads for one run: all processors, or 1 for a small step."""
    assert spec.batch_size is not None
    work = _n_weights(spec, dataset) * spec.batch_size
    return 1 if work < SMALL_STEP else available_workers()


def _blank(spec: TrainingSpec, dataset: Dataset) -> nn.Sequential:
    """Return the network without memory for its weights."""
    with torch.device("meta"):
        made = NETWORKS[spec.network].build
        return made(dataset.train.x.shape[1:], _n_outputs(dataset), spec.dropout)


def _n_outputs(dataset: Dataset) -> int:
    return int(dataset.n_classes or dataset.train.y.shape[1])


def _n_weights(spec: TrainingSpec, dataset: Dataset) -> int:
    return sum(parameter.numel() for parameter in _blank(spec, dataset).parameters())
