"""Routes from the outputs of a weight to the neurons of a layer, and the blocks they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Block, Part
from clusterability.shown import quoted
from clusterability.wiring.index_maps import Entries, add_into_columns, add_into_rows, pick_columns
from clusterability.wiring.parameters import widen
from clusterability.wiring.scales import Scale
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
    """A connection made ready for training: what does not depend on weights is found once.

    Index tensors and supports are kept for each device.

    Args:
        connection: what it joins.
        n_source: number of neurons of the source layer.
        n_target: of the target layer.
    """

    def __init__(self, connection: Connection, n_source: int, n_target: int) -> None:
        self.connection = connection
        self._n_source, self._n_target = n_source, n_target
        self._gather = add_into_rows(connection.inputs, n_source)
        self._routes = [_ReadyRoute(route, n_target) for route in connection.routes]
        self._is_plain = connection.inputs is None and connection.routes == (Route(),)
        self._support = cache(self._make_support)
        self._part = None
        if connection.part is not None:
            kernel, columns = connection.part
            self._part = Part(kernel, torch.tensor(columns))

    def block(self, strengths: Tensor, parameters: Mapping[str, Tensor]) -> Block:
        """Return the block of these strengths of the weight, (..., n_inputs, n_outputs).

        Nothing is checked. The parameters are those of scales, with the leading axes of the
        strengths.
        """
        connection, support = self.connection, None
        if connection.weight.groups > 1:
            support = self._support(*strengths.shape[-2:], strengths.device)
        if not self._is_plain:
            strengths = self._add_up(strengths, parameters)
        ends = connection.source, connection.target
        return Block(*ends, strengths, support, connection.kernel, self._part)

    def _add_up(self, strengths: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """(..., n_inputs, n_outputs) -> (..., n_source, n_target) along all routes."""
        rows = self._gather(strengths)
        total = self._routes[0].along(rows, parameters)
        for route in self._routes[1:]:
            total = total + route.along(rows, parameters)
        return total

    @torch.inference_mode(False)
    def _make_support(self, n_inputs: int, n_outputs: int, device: torch.device) -> Tensor:
        """(n_source, n_target) bool, True where a route of the weight's groups arrives."""
        support = support_of(self.connection.weight, n_inputs, n_outputs, device)
        assert support is not None
        rows = self._gather(support.double())
        places = [route.unscaled(rows) > 0 for route in self._routes]
        return torch.stack(places).any(0)

    def check(self, parameter: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """Refuse parameters of which no block can be made.

        Args:
            parameter: the weight, checked by itself.
            parameters: those of scales, by name.

        Raises:
            InputError: if the weight's inputs or outputs are too many or too few, or a scale is
                missing, misshapen or not finite.
        """
        weight, inputs = self.connection.weight, self.connection.inputs
        n_inputs, n_outputs = weight.sizes(parameter.shape)
        expected = self._n_source if inputs is None else len(inputs)
        if n_inputs != expected:
            raise InputError(f"{quoted(weight.name)} has {n_inputs} inputs, expected {expected}")
        for route in self.connection.routes:
            n_columns = _check_outputs(route, self._n_target, weight, n_outputs)
            for scale, entries in route.scales:
                values = scale.find_values(parameters, widen(parameter.new_empty(0, 0)))
                n_values = values.shape[-1]
                if n_values != n_columns if entries is None else n_values <= max(entries):
                    raise InputError(
                        f"{quoted(scale.name)} has {n_values} channels, but scales a layer of "
                        f"{n_columns} neurons"
                    )


class _ReadyRoute:
    """A route made ready, like :class:`Joint`."""

    def __init__(self, route: Route, n_target: int) -> None:
        self._factor = route.factor
        self._pick = pick_columns(route.channels)
        self._add = add_into_columns(route.neurons, n_target)
        self._scales = [(scale, pick_columns(entries)) for scale, entries in route.scales]

    def along(self, rows: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """(..., n_source, n_outputs) -> (..., n_source, n_target), scaled."""
        columns = self._pick(rows)
        for scale, pick in self._scales:
            columns = columns * pick(scale.values(parameters, columns))[..., None, :]
        if self._factor != 1:
            columns = columns * self._factor
        return self._add(columns)

    def unscaled(self, rows: Tensor) -> Tensor:
        """(n_source, n_outputs) -> (n_source, n_target)."""
        return self._add(self._pick(rows))


def _check_outputs(route: Route, n_target: int, weight: Weight, n_outputs: int) -> int:
    """Return how many of a weight's outputs arrive, counted as often as they do.

    Raises:
        InputError: if the weight has too few outputs, or not as many as the target has neurons.
    """
    name, n_columns = quoted(weight.name), n_outputs
    if route.channels is not None:
        n_columns, n_needed = len(route.channels), max(route.channels) + 1
        if n_outputs < n_needed:
            raise InputError(f"{name} has {n_outputs} outputs, expected {n_needed} or more")
    expected = n_target if route.neurons is None else len(route.neurons)
    if n_columns != expected:
        raise InputError(f"{name} gives {n_columns} outputs, expected {expected}")
    return n_columns
