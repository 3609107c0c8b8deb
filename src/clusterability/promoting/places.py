"""The parameters of a module by which hidden neurons are scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from clusterability.graph.canonical import Ties
from clusterability.promoting.parameters import connections_by_weight
from clusterability.tracing.homogeneity import Homogeneity
from clusterability.wiring import Wiring
from clusterability.wiring.index_maps import picks
from clusterability.wiring.scales import BatchNorm
from clusterability.wiring.scaling import Key, ScalingPlaces
from clusterability.wiring.weights import Weight


@dataclass(frozen=True, eq=False)
class Scaled:
    """A weight, and the group of each of its inputs and outputs: -1 where the factor is 1."""

    weight: Weight
    inputs: Tensor
    outputs: Tensor
    bias: str | None

    @cached_property
    def scales_inputs(self) -> bool:
        return bool((self.inputs >= 0).any())

    @cached_property
    def scales_outputs(self) -> bool:
        return bool((self.outputs >= 0).any())


@dataclass(frozen=True, eq=False)
class Norm:
    """A batch norm, the group of each of its channels, and the weights that feed these.

    ``feeds`` are the weight's number, its outputs, and the channel that each reaches.
    """

    scale: BatchNorm
    channels: Tensor
    bias: str | None
    feeds: tuple[tuple[int, Tensor, Tensor], ...]


def scaled_parameters(
    places: ScalingPlaces, wiring: Wiring, tied: Ties, facts: Homogeneity, device: torch.device
) -> tuple[list[Scaled], list[Norm]]:
    """Return the weights and batch norms with the groups of their inputs and outputs.

    Args:
        places: of the wiring.
        wiring: of the whole network.
        tied: the groups of the neurons.
        facts: which biases there are.
        device: of the groups that are returned.
    """
    table = np.full(int(places.groups.max()) + 1, -1)
    table[places.groups[: len(tied.groups)]] = tied.groups.numpy()

    def of(key: Key) -> Tensor:
        first = places.first[key]
        return torch.from_numpy(table[places.groups[first : first + places.size[key]]]).to(device)

    pieces = torch.split(tied.groups, [layer.n_neurons for layer in wiring.layers])
    weights = []
    for weight, connections in connections_by_weight(wiring).items():
        n_inputs, n_outputs = places.sizes(connections[0])
        read = torch.full((n_inputs,), -1)
        for connection in connections:
            inputs = picks(connection.inputs, n_inputs)
            read[inputs >= 0] = pieces[connection.source][inputs[inputs >= 0]]
        key = ("weight", weight.name)
        made = of(key) if key in places.first else torch.full((n_outputs,), -1, device=device)
        bias = facts.biases.get(weight.name)
        weights.append(Scaled(weight, read.to(device), made, bias))
    return weights, _scaled_norms(places, of, weights, facts.biases)


def _scaled_norms(
    places: ScalingPlaces,
    of: Callable[[Key], Tensor],
    weights: Sequence[Scaled],
    biases: Mapping[str, str],
) -> list[Norm]:
    numbers = {scaled.weight.name: i for i, scaled in enumerate(weights)}
    found = []
    for name, norm in places.norms.items():
        channels = of(("norm", name))
        feeds = tuple(
            (numbers[w], a.to(channels.device), b.to(channels.device))
            for w, a, b in places.feeds[name]
        )
        found.append(Norm(norm, channels, biases.get(name), feeds))
    return found
