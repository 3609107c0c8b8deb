"""The places of a network at which a hidden neuron can be scaled, in groups of one factor.

A factor multiplies what arrives at a neuron, and its inverse what leaves it. Neurons that one
output of a weight reaches, as a skip connection makes them, have one factor. What the network takes
and returns keeps its scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph.canonical import group
from clusterability.shown import quoted
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import picks
from clusterability.wiring.scales import BatchNorm, Total
from clusterability.wiring.wiring import Wiring

Key = tuple[str, str]
"""What outputs are of: ``weight`` or ``norm``, and the name of its parameter."""


class ScalingPlaces:
    """All that a factor can belong to: neurons, outputs of weights, channels of batch norms.

    Args:
        parameters: those of the network, by name; only their shapes matter.
        wiring: of the whole network.

    Attributes:
        groups: the group of each place; neurons come first, layer by layer.
        first: number of the first place of a weight's outputs, or of a batch norm's channels.
        size: how many these are.
        norms: the batch norms that have a weight, by its name.
        feeds: for each of these the weights that feed it: name, outputs, and the channel that each
            reaches.

    Raises:
        InputError: if what a weight gives reaches one neuron in several ways that scale it
            differently.
    """

    def __init__(self, parameters: Mapping[str, Tensor], wiring: Wiring) -> None:
        self._wiring, self._parameters = wiring, parameters
        sizes = [layer.n_neurons for layer in wiring.layers]
        self._offsets = np.cumsum([0, *sizes])
        self._n = int(self._offsets[-1])
        self.first: dict[Key, int] = {}
        self.size: dict[Key, int] = {}
        self.norms: dict[str, BatchNorm] = {}
        self.feeds: dict[str, list[tuple[str, Tensor, Tensor]]] = {}
        self._pinned: dict[int, str] = {}
        pairs = [
            self._route(connection, route)
            for connection in wiring.connections
            for route in connection.routes
        ]
        self.groups = group(np.concatenate(pairs, axis=1), self._n)

    def sizes(self, connection: Connection) -> tuple[int, int]:
        """Return the number of inputs and of outputs of a connection's weight."""
        weight = connection.weight
        return weight.sizes(self._parameters[weight.name].shape)

    def shared_scale(self, returned: Mapping[str, Sequence[int]]) -> NDArray[np.int64]:
        """Return each neuron's group, -1 where its scale is given: (n_neurons,).

        Args:
            returned: outputs of weights that the network returns.

        Raises:
            InputError: if a batch norm reads what a weight reads too, and it is not given.
        """
        of_neurons = self.groups[: int(self._offsets[-1])]
        given = np.concatenate([self._neurons_of(returned), self._ends()])
        shared = np.where(np.isin(of_neurons, of_neurons[given]), -1, of_neurons)
        free = set(shared.tolist())
        for place, name in self._pinned.items():
            if int(self.groups[place]) in free:
                raise InputError(
                    f"what {quoted(name)} gives is read by a batch norm and by a weight, so that "
                    "its neurons cannot be scaled without a change of the function; leave the "
                    "network as it is"
                )
        return shared

    def _ends(self) -> NDArray[np.int64]:
        """Return the neurons of layers that are not hidden."""
        connections = self._wiring.connections
        hidden = {c.source for c in connections} & {c.target for c in connections}
        of_layer = np.repeat(np.arange(len(self._wiring.layers)), np.diff(self._offsets))
        return np.flatnonzero(~np.isin(of_layer, list(hidden)))

    def _neurons_of(self, outputs: Mapping[str, Sequence[int]]) -> NDArray[np.int64]:
        """Return the neurons at which these outputs of weights arrive."""
        found = [np.empty(0, np.int64)]
        for connection in self._wiring.connections:
            chosen = outputs.get(connection.weight.name, ())
            n_outputs = self.sizes(connection)[1] if chosen else 0
            n_target = self._wiring.layers[connection.target].n_neurons
            for route in connection.routes if chosen else ():
                here = np.isin(picks(route.channels, n_outputs).numpy(), chosen)
                neurons = picks(route.neurons, n_target).numpy()[here]
                found.append(int(self._offsets[connection.target]) + neurons)
        return np.concatenate(found)

    def _route(self, connection: Connection, route: Route) -> NDArray[np.int64]:
        """Return pairs of a place that scales, and the neuron that it scales."""
        weight = connection.weight.name
        n_outputs = self.sizes(connection)[1]
        n_target = self._wiring.layers[connection.target].n_neurons
        neurons = int(self._offsets[connection.target]) + picks(route.neurons, n_target).numpy()
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
        first = self._place(("norm", name), len(self._parameters[name]))
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

    def _place(self, key: Key, size: int) -> int:
        if key not in self.first:
            self.first[key], self.size[key] = self._n, size
            self._n += size
        return self.first[key]


def _same_feed(one: tuple[str, Tensor, Tensor], other: tuple[str, Tensor, Tensor]) -> bool:
    return one[0] == other[0] and all(map(torch.equal, one[1:], other[1:]))
