"""Routes from the outputs of a weight to the neurons of a layer, and the blocks they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Block, Part
from clusterability.shown import quoted
from clusterability.wiring.index_maps import (
    Entries,
    Map,
    add_into_columns,
    add_into_rows,
    pick_columns,
)
from clusterability.wiring.parameters import widen
from clusterability.wiring.scales import Scale, ScaleValues
from clusterability.wiring.weights import Weight, support_of


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


class Joint:
    """What a weight gives on its routes between two layers, made ready for training.

    What does not depend on weights is found once: index tensors and supports are kept for each
    device. Connections that differ in their layers alone, as copies of a block do, have one joint.

    Args:
        weight: the parameter and how it lies.
        inputs: as those of a :class:`Connection`.
        n_source: number of neurons of the source layer.
        gather: adds up what belongs to one neuron of the source.
        routes: the routes, each made ready.
    """

    def __init__(
        self,
        weight: Weight,
        inputs: Entries,
        n_source: int,
        gather: Map,
        routes: Sequence[_ReadyRoute],
    ) -> None:
        self._weight, self._inputs, self._n_source = weight, inputs, n_source
        self._gather, self._routes = gather, routes
        self._is_plain = inputs is None and [r.route for r in routes] == [Route()]
        if weight.groups > 1:
            self._support = cache(self._make_support)

    def strengths(self, strengths: Tensor, values: ScaleValues) -> tuple[Tensor, Tensor | None]:
        """Return strengths (..., n_source, n_target) and where connections are; None everywhere.

        Nothing is checked.

        Args:
            strengths: those of the weight, (..., n_inputs, n_outputs).
            values: those of scales, with the leading axes of the strengths.
        """
        support = None
        if self._weight.groups > 1:
            support = self._support(*strengths.shape[-2:], strengths.device)
        return strengths if self._is_plain else self._add_up(strengths, values), support

    def _add_up(self, strengths: Tensor, values: ScaleValues) -> Tensor:
        """(..., n_inputs, n_outputs) -> (..., n_source, n_target) along all routes."""
        rows = self._gather(strengths)
        total = self._routes[0].along(rows, values)
        for route in self._routes[1:]:
            total = total + route.along(rows, values)
        return total

    @torch.inference_mode(False)
    def _make_support(self, n_inputs: int, n_outputs: int, device: torch.device) -> Tensor:
        """(n_source, n_target) bool, True where a route of the weight's groups arrives."""
        support = support_of(self._weight, n_inputs, n_outputs, device)
        assert support is not None
        if self._inputs is None and all(route.is_in_order for route in self._routes):
            return support
        rows = self._gather(support.float())
        places = [route.unscaled(rows) > 0 for route in self._routes]
        return torch.stack(places).any(0)

    def check(self, parameter: Tensor, values: ScaleValues) -> None:
        """Refuse parameters of which no strengths can be made.

        Args:
            parameter: the weight, checked by itself.
            values: those of scales, checked.

        Raises:
            InputError: if the weight's inputs or outputs are too many or too few, or a scale is
                missing, misshapen or not finite.
        """
        n_inputs, n_outputs = self._weight.sizes(parameter.shape)
        expected = self._n_source if self._inputs is None else len(self._inputs)
        if n_inputs != expected:
            name = quoted(self._weight.name)
            raise InputError(f"{name} has {n_inputs} inputs, expected {expected}")
        like = widen(parameter.new_empty(0, 0))
        for route in self._routes:
            route.check(self._weight, n_outputs, values, like)


class _ReadyRoute:
    """A route made ready, like :class:`Joint`."""

    def __init__(self, route: Route, n_target: int) -> None:
        self.route, self._n_target = route, n_target
        picked = cache(pick_columns)  # batch norms in a row have the same entries
        self._pick = picked(route.channels)
        self._add = add_into_columns(route.neurons, n_target)
        self._scales = [(scale, picked(entries)) for scale, entries in route.scales]

    @property
    def is_in_order(self) -> bool:
        """Whether every output arrives at the neuron of its number."""
        return self.route.channels is None and self.route.neurons is None

    def along(self, rows: Tensor, values: ScaleValues) -> Tensor:
        """(..., n_source, n_outputs) -> (..., n_source, n_target), scaled."""
        columns = self._pick(rows)
        for scale, pick in self._scales:
            columns = columns * pick(values.of(scale, columns))[..., None, :]
        if self.route.factor != 1:
            columns = columns * self.route.factor
        return self._add(columns)

    def unscaled(self, rows: Tensor) -> Tensor:
        """(n_source, n_outputs) -> (n_source, n_target)."""
        return self._add(self._pick(rows))

    def check(self, weight: Weight, n_outputs: int, values: ScaleValues, like: Tensor) -> None:
        """Refuse a weight or scales that do not fit, as :meth:`Joint.check` does."""
        n_columns = _check_outputs(self.route, self._n_target, weight, n_outputs)
        for scale, entries in self.route.scales:
            n_values = values.of(scale, like).shape[-1]
            if n_values != n_columns if entries is None else n_values <= max(entries):
                raise InputError(
                    f"{quoted(scale.name)} has {n_values} channels, but scales a layer of "
                    f"{n_columns} neurons"
                )


@dataclass(frozen=True, eq=False)
class Ready:
    """A connection made ready: its joint, which copies share, and of what its block is a part."""

    connection: Connection
    joint: Joint
    part: Part | None

    def block(self, strengths: Tensor, support: Tensor | None) -> Block:
        """Return the block of the joint's strengths and their support."""
        c = self.connection
        return Block(c.source, c.target, strengths, support, c.kernel, self.part)


def made_ready(connections: Sequence[Connection], sizes: Sequence[int]) -> list[Ready]:
    """Return connections made ready, with one joint for all those that have the same one.

    Args:
        connections: those of a wiring.
        sizes: number of neurons of each layer.
    """
    gather, ready_route = cache(add_into_rows), cache(_ReadyRoute)

    @cache
    def joint(
        weight: Weight, inputs: Entries, routes: tuple[Route, ...], n_source: int, n_target: int
    ) -> Joint:
        ready_routes = [ready_route(route, n_target) for route in routes]
        return Joint(weight, inputs, n_source, gather(inputs, n_source), ready_routes)

    return [
        Ready(c, joint(c.weight, c.inputs, c.routes, sizes[c.source], sizes[c.target]), _part(c))
        for c in connections
    ]


def _part(connection: Connection) -> Part | None:
    if connection.part is None:
        return None
    kernel, columns = connection.part
    return Part(kernel, torch.tensor(columns))


def _check_outputs(route: Route, n_target: int, weight: Weight, n_outputs: int) -> int:
    """Return how many of a weight's outputs arrive, counted as often as they do.

    Raises:
        InputError: if the weight has too few outputs, or not as many as the target has neurons.
    """
    n_columns = n_outputs
    if route.channels is not None:
        n_columns, n_needed = len(route.channels), max(route.channels) + 1
        if n_outputs < n_needed:
            raise InputError(
                f"{quoted(weight.name)} has {n_outputs} outputs, expected {n_needed} or more"
            )
    expected = n_target if route.neurons is None else len(route.neurons)
    if n_columns != expected:
        raise InputError(f"{quoted(weight.name)} gives {n_columns} outputs, expected {expected}")
    return n_columns
