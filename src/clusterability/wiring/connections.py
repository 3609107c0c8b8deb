"""Connections: a weight, the layers that it joins, and the routes of its outputs."""

from __future__ import annotations

from dataclasses import dataclass

from clusterability.wiring.index_maps import Entries
from clusterability.wiring.scales import Scale
from clusterability.wiring.weights import Weight


@dataclass(frozen=True)
class Route:
    """A route from the outputs of a weight to the neurons of a layer.

    Attributes:
        channels: outputs of the weight that arrive, one for each arrival; None for all in order.
        neurons: the neuron of the target layer at which each arrives; None for all in order.
        scales: factors on the route, each with its entry for each arrival; None for one entry an
            arrival, in order.
        factor: a plain number that multiplies on the route.
    """

    channels: Entries = None
    neurons: Entries = None
    scales: tuple[tuple[Scale, Entries], ...] = ()
    factor: float = 1.0


@dataclass(frozen=True)
class Connection:
    """One weight, the layer that it reads, and a layer that its outputs reach.

    Attributes:
        source: index of the layer that it reads.
        target: index of the layer that it produces.
        weight: the parameter and how it lies.
        inputs: the neuron of the source layer that each input of the weight belongs to, -1 if it
            belongs to another layer; None for one neuron an input, in order. Several inputs are one
            neuron where a dense weight reads a channel's flattened pixels.
        routes: the routes to the target; their strengths add up.
        kernel: a name that copies of one block share, as a skip connection makes them; None if
            there are no copies.
        part: the kernel of a block of which the connection's is a part, and its columns there.
    """

    source: int
    target: int
    weight: Weight
    inputs: Entries = None
    routes: tuple[Route, ...] = (Route(),)
    kernel: str | None = None
    part: tuple[str, tuple[int, ...]] | None = None
