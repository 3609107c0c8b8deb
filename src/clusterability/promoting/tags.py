"""Tags: the cluster in which each neuron of a module shall be, drawn, or taken from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterability.arguments import one_of, whole
from clusterability.errors import InputError
from clusterability.promoting.given_tags import check_tags, given_tags, most_tags
from clusterability.promoting.parameters import tied_neurons
from clusterability.reading.loaded import InputShape
from clusterability.registries import LAYERS
from clusterability.result import Clusterability
from clusterability.shown import quoted
from clusterability.tracing.assembling import assemble
from clusterability.tracing.examples import inputs_to_trace
from clusterability.tracing.modules import Effective, unwrapped, walked_program
from clusterability.wiring import Wiring

AnyTags = int | Mapping[str, Any] | Clusterability | str | os.PathLike[str] | Tensor | NDArray[Any]
"""A number of clusters, or where the tags of some neurons are found."""


def cluster_tags(
    model: nn.Module,
    clusters: AnyTags = 12,
    layers: str = "hidden",
    seed: int = 0,
    *,
    example_inputs: Any = None,
    input_shape: InputShape | None = None,
) -> dict[str, Tensor]:
    """Return the cluster in which each neuron shall be, for pruning, penalties and validation.

    Drawn tags are balanced: within a layer no two clusters differ by more than one neuron. Hidden
    neurons have them in random order; outputs 0, 1, ... in order; of inputs, each run of k
    neighbors (pixels of an image, line by line) has all k in random order, so that every cluster
    sees the whole image. Neurons that a skip connection adds to each other have one tag.

    Args:
        model: any module that can be traced.
        clusters: their number k, or tags that are there already: a result of
            :func:`clusterability.measure` or what a command wrote of it (.json, .csv), tags of
            :func:`clusterability.clusterable_init_` or any by the names of the layers, or a label
            for each neuron of the whole graph. Tags of neurons without one are then drawn; where
            neurons that must have one tag have several, the first layer's counts.
        layers: which get tags: ``hidden``, ``hidden+outputs``, or ``all``, inputs too. Weights
            between two layers that have tags are what pruning and penalties treat.
        seed: draws the tags.
        example_inputs: arguments of the forward pass; by default guessed from the first layer.
        input_shape: in place of these, the shape of one input without the batch axis, or of each.

    Returns:
        For each of these layers, (n_neurons,) int64, from 0 to k - 1.

    Raises:
        InputError: if a layer has fewer neurons than there are clusters (outputs may), given tags
            do not fit, or the module cannot be traced.

    >>> from torch.nn import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(8, 6), ReLU(), Linear(6, 6), ReLU(), Linear(6, 3))
    >>> cluster_tags(model, 3, layers="hidden+outputs")
    {'0': tensor([1, 2, 1, 0, 0, 2]), '2': tensor([1, 2, 0, 2, 0, 1]), '4': tensor([0, 1, 2])}
    """
    one_of("layers", layers, LAYERS)
    rng = np.random.default_rng(whole("seed", seed, 0))
    inputs = inputs_to_trace(model, example_inputs, input_shape)
    return tags_with(unwrapped(model), clusters, layers, rng, inputs)


def tags_with(
    model: nn.Module,
    clusters: AnyTags,
    layers: str,
    rng: np.random.Generator,
    inputs: tuple[Any, ...] | None,
) -> dict[str, Tensor]:
    """Do what :func:`cluster_tags` does, with tags drawn by a generator."""
    wiring, parameters = whole_wiring(model, inputs)
    given: Mapping[str, Tensor] = {}
    if isinstance(clusters, int | np.integer):
        n_clusters = whole("clusters", clusters, 2)
    else:
        given = given_tags(clusters, wiring)
        n_clusters = most_tags(given)
    ends = Ends.of(wiring)
    wanted = ends.layers(layers)
    _check_widths(wiring, ends, wanted, n_clusters)
    groups = tied_neurons(parameters, wiring)
    of_group = np.full(int(max(group.max() for group in groups)) + 1, -1)
    names = [layer.name for layer in wiring.layers]
    for i in wanted:
        if names[i] in given:
            held = given[names[i]].numpy()
            here = (held >= 0) & (of_group[groups[i]] < 0)
            of_group[groups[i][here]] = held[here]
    for i in ends.in_order(wanted):
        free = np.unique(groups[i][of_group[groups[i]] < 0], return_index=True)
        draw = _draw_outputs if i in ends.outputs else _draw_hidden
        if i in ends.inputs:
            draw = _draw_inputs
        draw(groups[i], free[0][np.argsort(free[1])], of_group, n_clusters, rng)
    tags = {names[i]: torch.from_numpy(of_group[groups[i]]) for i in wanted}
    check_tags(tags, wiring)
    return tags


def whole_wiring(model: nn.Module, inputs: tuple[Any, ...] | None) -> tuple[Wiring, Effective]:
    """Return the wiring of a module with its image and dense part, and what its weights are."""
    _, walked = walked_program(model, inputs)
    wiring, _ = assemble(walked, ("dense", "input"))
    return wiring, Effective(model, walked.computed)


class Ends:
    """The layers of a whole wiring that the network reads from outside, and that it returns."""

    def __init__(self, inputs: frozenset[int], outputs: frozenset[int], n_layers: int) -> None:
        self.inputs, self.outputs, self._n_layers = inputs, outputs, n_layers

    @classmethod
    def of(cls, wiring: Wiring) -> Ends:
        """Find them by the directions of the connections."""
        every = frozenset(range(len(wiring.layers)))
        sources = {connection.source for connection in wiring.connections}
        targets = {connection.target for connection in wiring.connections}
        return cls(every - targets, every - sources, len(every))

    def layers(self, which: str) -> list[int]:
        """Return the numbers of the layers of one of the choices of layers."""
        left_out = {
            "hidden": self.inputs | self.outputs,
            "hidden+outputs": self.inputs,
            "all": frozenset[int](),
        }[which]
        return [i for i in range(self._n_layers) if i not in left_out]

    def in_order(self, layers: Sequence[int]) -> list[int]:
        """Return outputs before others, since a tied hidden neuron takes an output's tag."""
        return sorted(layers, key=lambda i: i not in self.outputs)


def _check_widths(wiring: Wiring, ends: Ends, wanted: Sequence[int], n_clusters: int) -> None:
    if not wanted:
        raise InputError("the network has no hidden layer to cut into clusters; pass layers='all'")
    for i in wanted:
        layer = wiring.layers[i]
        if i in ends.outputs or layer.n_neurons >= n_clusters:
            continue
        remedy = f"pass clusters <= {layer.n_neurons}, or make it wider"
        if i in ends.inputs:
            remedy = "pass layers='hidden+outputs', which leaves inputs whole"
        raise InputError(
            f"there are {n_clusters} clusters, but layer {quoted(layer.name)} has "
            f"{layer.n_neurons} neurons; {remedy}"
        )


def _draw_hidden(
    groups: NDArray[np.int64],
    free: NDArray[np.int64],
    of_group: NDArray[np.int64],
    n_clusters: int,
    rng: np.random.Generator,
) -> None:
    """Deal tags out to a layer's neurons in random order, always the rarest tag."""
    held = of_group[groups]
    counts = np.bincount(held[held >= 0], minlength=n_clusters)
    for one in rng.permutation(free):
        tag = int(counts.argmin())
        of_group[one] = tag
        counts[tag] += int((groups == one).sum())


def _draw_outputs(
    groups: NDArray[np.int64],
    free: NDArray[np.int64],
    of_group: NDArray[np.int64],
    n_clusters: int,
    _rng: np.random.Generator,
) -> None:
    first = {one: i for i, one in reversed(list(enumerate(groups.tolist())))}
    for one in free.tolist():
        of_group[one] = first[one] % n_clusters


def _draw_inputs(
    groups: NDArray[np.int64],
    free: NDArray[np.int64],
    of_group: NDArray[np.int64],
    n_clusters: int,
    rng: np.random.Generator,
) -> None:
    for start in range(0, len(groups), n_clusters):
        run = groups[start : start + n_clusters]
        drawn = rng.permutation(n_clusters)[: len(run)]
        is_free = np.isin(run, free)
        of_group[run[is_free]] = drawn[is_free]
