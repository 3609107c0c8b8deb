"""Everything that the runs of a stack draw from their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.training.augmentation import draw_transformations
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.clusters import KernelClusters
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.networks import NETWORKS, build
from clusterability.training.randomness import Randomness, Use
from clusterability.training.record import TrainedRun
from clusterability.training.samples import Data
from clusterability.training.spec import TrainingSpec
from clusterability.training.trainable import Trainable

Place = tuple[int, int]
"""Indices of a phase and of one of its epochs."""


def draw_networks(spec: TrainingSpec, data: Data, randomness: Sequence[Randomness]) -> Trainable:
    """Return a new network for each run, on the device of the data."""
    drawn = [draw_network(spec, data.shape, data.n_outputs, of_run) for of_run in randomness]
    modules = [module for module, _ in drawn]
    tags = _kernel_tags(drawn, data.shape, data.device)
    clusters = KernelClusters(tags, spec.tags, spec.modular_pruning)
    if spec.modular_pruning:
        clusters.check_room(modules[0].state_dict(), spec.final_sparsity)
    is_loose = spec.pruning_order == "loose"
    if NETWORKS[spec.network].is_mlp:
        return MLPStack(modules, spec.learning_rate, data.device, clusters, is_loose)
    (module,) = modules
    return AutogradNetwork(
        *(module, spec.learning_rate, data.device, data.shape),
        clusters=clusters,
        is_loose=is_loose,
        precision=spec.precision,
    )


def draw_network(
    spec: TrainingSpec, shape: Sequence[int], n_outputs: int, randomness: Randomness
) -> tuple[nn.Sequential, dict[str, Tensor]]:
    """Return the network with which a run begins, and the tags of its neurons, if they have any.

    Args:
        spec: of the run.
        shape: of one input.
        n_outputs: classes, or targets of a regression.
        randomness: of the run.

    Raises:
        InputError: if a layer has fewer neurons than there are clusters.
    """
    module = build(
        spec.network,
        tuple(shape),
        n_outputs,
        dropout=spec.dropout,
        dropout_rate=spec.dropout_rate,
        generator=randomness.numpy(Use.INITIALIZATION),
    )
    if not (spec.clusterable_init or spec.has_clusters):
        return module, {}
    # A run without clusters need not wait for what traces networks.
    from clusterability.promoting.initialization import init_with
    from clusterability.promoting.tags import tags_with
    from clusterability.tracing.examples import inputs_of_shapes

    rng, inputs = randomness.numpy(Use.TAGS), inputs_of_shapes(module, (shape,))
    clusters: int | dict[str, Tensor] = spec.tags
    if spec.clusterable_init:
        clusters = init_with(module, spec.tags, spec.beta, rng, inputs)
    if not spec.has_clusters:
        return module, {}
    return module, tags_with(module, clusters, spec.tag_layers, rng, inputs)


def tags_of_run(run: TrainedRun) -> dict[str, Tensor]:
    """Return the tags that a run's neurons had, drawn anew from its spec.

    Returns:
        For each layer that has tags, (n_neurons,) int64; empty for a run without clusters.

    >>> from tempfile import TemporaryDirectory
    >>> from clusterability.training import train
    >>> spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=1, modular_pruning=True)
    >>> with TemporaryDirectory() as folder:
    ...     tags = tags_of_run(train(spec, out=folder, device="cpu"))
    >>> {name: found.bincount().tolist() for name, found in tags.items()}["fc1"]
    [7, 7, 7, 7, 6, 6, 6, 6, 6, 6]
    """
    randomness = Randomness(run.spec.seed, len(run.attempts))
    return draw_network(run.spec, run.shape, run.n_outputs, randomness)[1]


def _kernel_tags(
    drawn: Sequence[tuple[nn.Sequential, dict[str, Tensor]]],
    shape: Sequence[int],
    device: torch.device,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the tags of the inputs and outputs of the kernels, (n_runs, n) each."""
    if not drawn[0][1]:
        return {}
    from clusterability.promoting.cluster_penalties import fill_tags, tagged_weights
    from clusterability.promoting.tags import whole_wiring
    from clusterability.tracing.examples import inputs_of_shapes

    wiring, parameters = whole_wiring(drawn[0][0], inputs_of_shapes(drawn[0][0], (shape,)))
    each = [dict(tagged_weights(parameters, wiring, fill_tags(tags, wiring))) for _, tags in drawn]
    found = {}
    for weight in each[0]:
        given, made = zip(*(of_run[weight] for of_run in each), strict=True)
        found[weight.name] = torch.stack(given).to(device), torch.stack(made).to(device)
    return found


def draw_batches(
    spec: TrainingSpec, data: Data, randomness: Sequence[Randomness], place: Place
) -> Iterator[Tensor]:
    """Yield the samples that each network sees at each step of an epoch, (n_runs, batch) each.

    Where an epoch has other steps than there are batches, the next one goes on with the batches
    that are left of the same order.
    """
    assert spec.batch_size is not None
    n_batches = -(-len(data.train) // spec.batch_size)
    n_steps = spec.epoch_steps or n_batches
    phase, epoch = place
    order, start = divmod(epoch * n_steps, n_batches)
    batches = chain.from_iterable(
        torch.split(draw_order(data, randomness, (phase, i)), spec.batch_size, dim=1)
        for i in count(order)
    )
    yield from islice(batches, start, start + n_steps)


def draw_order(data: Data, randomness: Sequence[Randomness], place: Place) -> Tensor:
    """Return one order in which each network sees all samples, (n_runs, n)."""
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
