"""Everything that the runs of a stack draw from their seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.promoting.initialization import init_with
from clusterability.tracing.examples import inputs_of_shape
from clusterability.training.augmentation import draw_transformations
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.networks import NETWORKS, build
from clusterability.training.randomness import Randomness, Use
from clusterability.training.samples import Data
from clusterability.training.spec import TrainingSpec
from clusterability.training.trainable import Trainable

Place = tuple[int, int]
"""Indices of a phase and of one of its epochs."""


def draw_networks(spec: TrainingSpec, data: Data, randomness: Sequence[Randomness]) -> Trainable:
    """Return a new network for each run, on the device of the data."""
    modules = [_draw_network(spec, data, of_run) for of_run in randomness]
    if NETWORKS[spec.network].is_mlp:
        return MLPStack(modules, spec.learning_rate, data.device)
    (module,) = modules
    return AutogradNetwork(module, spec.learning_rate, data.device, data.shape)


def _draw_network(spec: TrainingSpec, data: Data, randomness: Randomness) -> nn.Sequential:
    module = build(
        spec.network,
        data.shape,
        data.n_outputs,
        dropout=spec.dropout,
        generator=randomness.numpy(Use.INITIALIZATION),
    )
    if spec.clusterable_init:
        inputs = inputs_of_shape(module, data.shape)
        init_with(module, spec.tags, spec.beta, randomness.numpy(Use.TAGS), inputs)
    return module


def draw_order(data: Data, randomness: Sequence[Randomness], place: Place) -> Tensor:
    """Return the order in which each network sees the samples in an epoch, (n_runs, n)."""
    n_samples = len(data.train)
    if not data.reshuffled:
        orders = [np.arange(n_samples)] * len(randomness)
    else:
        orders = [of_run.numpy(Use.ORDER, *place).permutation(n_samples) for of_run in randomness]
    return torch.from_numpy(np.stack(orders)).to(data.device)


def draw_dropout(
    data: Data, randomness: Sequence[Randomness], place: Place
) -> list[torch.Generator]:
    """Return the generators of each run's dropout in an epoch."""
    return [of_run.torch(Use.DROPOUT, *place, data.device) for of_run in randomness]


def draw_image_maps(data: Data, randomness: Sequence[Randomness], place: Place) -> Tensor:
    """Return the map that moves each image in an epoch, (n, 2, 3), for a single run."""
    (of_run,) = randomness
    maps = draw_transformations(len(data.train), of_run.numpy(Use.AUGMENTATION, *place))
    return torch.from_numpy(maps).to(data.device)
