"""The places of a network at which a hidden neuron can be scaled, in groups of one factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.graph.canonical import Ties, group, make_ties
from clusterability.promoting.parameters import (
    connections_by_weight,
    parameter_sizes,
    picks,
)
from clusterability.shown import quoted
from clusterability.tracing.homogeneity import Homogeneity
from clusterability.tracing.modules import Effective
from clusterability.wiring import Wiring
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.scales import BatchNorm, Total
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


class Places:
    """All that a factor can belong to: neurons, outputs of weights, channels of batch norms."""

    def __init__(self, model: nn.Module, wiring: Wiring) -> None:
        self.wiring, self.model = wiring, model
        sizes = [layer.n_neurons for layer in wiring.layers]
        self.offsets = np.cumsum([0, *sizes])
        self.n = int(self.offsets[-1])
        self.first: dict[tuple[str, str], int] = {}
        self.size: dict[tuple[str, str], int] = {}
        self.norms: dict[str, BatchNorm] = {}
        self.feeds: dict[str, list[tuple[str, Tensor, Tensor]]] = {}
        self._pinned: dict[int, str] = {}
        pairs = [
            self._route(connection, route)
            for connection in wiring.connections
            for route in connection.routes
        ]
        self.groups = group(np.concatenate(pairs, axis=1), self.n)

    def ties(self, returned: Mapping[str, Sequence[int]]) -> Ties:
        """Return the groups of the neurons; refuse one that a batch norm reads beside a weight.

        Args:
            returned: outputs of weights that the network returns, whose scale is given.
        """
        n_neurons = int(self.offsets[-1])
        graph = self.wiring.strengths(Effective(self.model))
        groups = self.groups[:n_neurons]
        tied = make_ties(graph, groups, groups[self._neurons_of(returned)])
        free = set(self.groups[:n_neurons][(tied.groups >= 0).numpy()].tolist())
        for place, name in self._pinned.items():
            if int(self.groups[place]) in free:
                raise InputError(
                    f"what {quoted(name)} gives is read by a batch norm and by a weight, so that "
                    "its neurons cannot be scaled without a change of the function; leave the "
                    "network as it is"
                )
        return tied

    def _neurons_of(self, outputs: Mapping[str, Sequence[int]]) -> NDArray[np.int64]:
        """Return the neurons at which these outputs of weights arrive."""
        found = [np.empty(0, np.int64)]
        for connection in self.wiring.connections:
            chosen = outputs.get(connection.weight.name, ())
            n_outputs = parameter_sizes(self.model, connection.weight)[1]
            n_target = self.wiring.layers[connection.target].n_neurons
            for route in connection.routes:
                here = np.isin(picks(route.channels, n_outputs).numpy(), chosen)
                neurons = picks(route.neurons, n_target).numpy()[here]
                found.append(int(self.offsets[connection.target]) + neurons)
        return np.concatenate(found)

    def scaled(self, tied: Ties, facts: Homogeneity) -> tuple[list[Scaled], list[Norm]]:
        """Return the weights and batch norms with the groups of their inputs and outputs."""
        device = next(self.model.parameters()).device
        table = np.full(int(self.groups.max()) + 1, -1)
        table[self.groups[: len(tied.groups)]] = tied.groups.numpy()

        def of(key: tuple[str, str]) -> Tensor:
            first = self.first[key]
            return torch.from_numpy(table[self.groups[first : first + self.size[key]]]).to(device)

        pieces = torch.split(tied.groups, [layer.n_neurons for layer in self.wiring.layers])
        weights = []
        for weight, connections in connections_by_weight(self.wiring).items():
            n_inputs, n_outputs = parameter_sizes(self.model, weight)
            read = torch.full((n_inputs,), -1)
            for connection in connections:
                inputs = picks(connection.inputs, n_inputs)
                read[inputs >= 0] = pieces[connection.source][inputs[inputs >= 0]]
            key = ("weight", weight.name)
            made = of(key) if key in self.first else torch.full((n_outputs,), -1, device=device)
            bias = facts.biases.get(weight.name)
            weights.append(Scaled(weight, read.to(device), made, bias))
        numbers = {scaled.weight.name: i for i, scaled in enumerate(weights)}
        norms = [
            Norm(
                norm,
                of(("norm", name)),
                facts.biases.get(name),
                tuple((numbers[w], a.to(device), b.to(device)) for w, a, b in self.feeds[name]),
            )
            for name, norm in self.norms.items()
        ]
        return weights, norms

    def _route(self, connection: Connection, route: Route) -> NDArray[np.int64]:
        """Return pairs of a place that scales, and the neuron that it scales."""
        weight = connection.weight.name
        n_outputs = parameter_sizes(self.model, connection.weight)[1]
        n_target = self.wiring.layers[connection.target].n_neurons
        neurons = int(self.offsets[connection.target]) + picks(route.neurons, n_target).numpy()
        outputs = picks(route.channels, n_outputs)
        places = self._place(("weight", weight), n_outputs) + outputs.numpy()
        for scale, entries in route.scales:
            if isinstance(scale, Total):
                raise InputError(
                    f"what {quoted(weight)} gives reaches one neuron in several ways that "
                    f"{quoted(scale.name)} scales differently; such neurons cannot be scaled"
                )
            if isinstance(scale, BatchNorm):
                self._pinned.update(dict.fromkeys(places.tolist(), weight))
                channels = picks(entries, len(neurons))
                places = self._after_norm(scale, channels)
                if scale.weight is not None:
                    self._feed(scale.weight, (weight, outputs, channels))
        return np.stack([places, neurons])

    def _after_norm(self, scale: BatchNorm, channels: Tensor) -> NDArray[np.int64]:
        """Return the places of a batch norm's channels; nothing scales those without a weight."""
        name = scale.weight or scale.running_var
        first = self._place(("norm", name), len(Effective(self.model)[name]))
        places: NDArray[np.int64] = first + channels.numpy()
        if scale.weight is None:
            self._pinned.update(dict.fromkeys(places.tolist(), scale.name))
        else:
            self.norms[name] = scale
        return places

    def _feed(self, name: str, feed: tuple[str, Tensor, Tensor]) -> None:
        found = self.feeds.setdefault(name, [])
        if not any(_same_feed(feed, other) for other in found):
            found.append(feed)

    def _place(self, key: tuple[str, str], size: int) -> int:
        if key not in self.first:
            self.first[key], self.size[key] = self.n, size
            self.n += size
        return self.first[key]


def _same_feed(one: tuple[str, Tensor, Tensor], other: tuple[str, Tensor, Tensor]) -> bool:
    return one[0] == other[0] and all(map(torch.equal, one[1:], other[1:]))
