"""What weights give on their routes between two layers, made ready for training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Block, Part
from clusterability.shown import quoted
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import (
    Entries,
    Map,
    add_into_columns,
    add_into_rows,
    adds_rows,
    pick_columns,
)
from clusterability.wiring.parameters import widen
from clusterability.wiring.scales import ScaleValues
from clusterability.wiring.steps import Step, Steps, Taken
from clusterability.wiring.weights import Weight, support_of_groups

SupportFinder = Callable[[int, int, torch.device], Tensor]
"""Returns the support for a weight's number of inputs, its number of outputs, and a device."""


class Joint:
    """What a weight gives on its routes between two layers, made ready for training.

    What does not depend on weights is found once: index tensors and supports are kept for each
    device. Connections that differ in their layers alone, as copies of a block do, have one joint.

    Args:
        inputs: as those of a :class:`Connection`.
        n_source: number of neurons of the source layer.
        select: takes the rows of the source layer out of what the routes give.
        routes: the routes, each made ready.
        support: finds where the connections of a weight with groups are; None for one group.
    """

    def __init__(
        self,
        inputs: Entries,
        n_source: int,
        select: Map,
        routes: Sequence[ReadyRoute],
        support: SupportFinder | None,
    ) -> None:
        self._n_inputs = n_source if inputs is None else len(inputs)
        self._select, self.routes, self._support = select, routes, support
        for step in (step for route in routes for step in route.steps):
            step.n_joints += 1

    def strengths(self, taken: Taken) -> tuple[Tensor, Tensor | None]:
        """Return strengths (..., n_source, n_target) and where connections are; None everywhere.

        Nothing is checked.

        Args:
            taken: the strengths of the weight, with the steps that were taken before.
        """
        total = self._select(taken.after(self.routes[0].steps))
        for route in self.routes[1:]:
            total = total + self._select(taken.after(route.steps))
        if self._support is None:
            return total, None
        return total, self._support(*taken.sizes, total.device)

    def check(self, weight: Weight, n_inputs: int) -> None:
        """Refuse a weight with another number of inputs.

        Raises:
            InputError: that names it.
        """
        if n_inputs != self._n_inputs:
            name = quoted(weight.name)
            raise InputError(f"{name} has {n_inputs} inputs, expected {self._n_inputs}")


def check_joints(
    joints: Collection[Joint], weight: Weight, parameter: Tensor, values: ScaleValues
) -> None:
    """Refuse parameters of which no strengths can be made.

    Args:
        joints: all those of a weight.
        weight: how the parameter lies.
        parameter: the weight, checked by itself.
        values: those of scales, checked.

    Raises:
        InputError: if the weight's inputs or outputs are too many or too few, or a scale is
            missing, misshapen or not finite.
    """
    n_inputs, n_outputs = weight.sizes(parameter.shape)
    for joint in joints:
        joint.check(weight, n_inputs)
    like, checked = widen(parameter.new_empty(0, 0)), set[Step]()
    for route in dict.fromkeys(route for joint in joints for route in joint.routes):
        n_columns = route.n_columns(weight, n_outputs)
        for step in route.steps:
            if step not in checked:
                checked.add(step)
                step.check(n_columns, values, like)


class ReadyRoute:
    """A route made ready, like :class:`Joint`."""

    def __init__(self, route: Route, n_target: int, steps: Sequence[Step]) -> None:
        self.steps, self._n_target = steps, n_target
        self._channels, self._neurons = route.channels, route.neurons
        self._n_needed = 0 if route.channels is None else max(route.channels) + 1

    def n_columns(self, weight: Weight, n_outputs: int) -> int:
        """Return how many of a weight's outputs arrive, counted as often as they do.

        Raises:
            InputError: if the weight has too few outputs, or not as many as the target has neurons.
        """
        if n_outputs < self._n_needed:
            raise InputError(
                f"{quoted(weight.name)} has {n_outputs} outputs, expected {self._n_needed} or more"
            )
        n_columns = n_outputs if self._channels is None else len(self._channels)
        expected = self._n_target if self._neurons is None else len(self._neurons)
        if n_columns != expected:
            raise InputError(
                f"{quoted(weight.name)} gives {n_columns} outputs, expected {expected}"
            )
        return n_columns


def support_finder(
    groups: int,
    inputs: Entries,
    n_source: int,
    n_target: int,
    ends: Sequence[tuple[Entries, Entries]],
) -> SupportFinder:
    """Return what finds where connections are between two layers, once for each device.

    Args:
        groups: those of the weight.
        inputs: as those of a :class:`Connection`.
        n_source: number of neurons of the source layer.
        n_target: of the target layer.
        ends: the channels and the neurons of each route.
    """

    @cache
    @torch.inference_mode(False)
    def found(n_inputs: int, n_outputs: int, device: torch.device) -> Tensor:
        """(n_source, n_target) bool, True where a route of the weight's groups arrives."""
        whole = support_of_groups(groups, n_inputs, n_outputs, device)
        if inputs is None and all(end == (None, None) for end in ends):
            return whole
        rows = add_into_rows(inputs, n_source)(whole.float())
        arriving = [
            add_into_columns(neurons, n_target)(pick_columns(channels)(rows)) > 0
            for channels, neurons in ends
        ]
        return torch.stack(arriving).any(0)

    return found


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


def row_maps(inputs: Entries, n_source: int) -> tuple[Map | None, Map]:
    """Return what is done to a weight's rows first, if anything, and what at the end.

    Rows are added up first, but taken out last: so all sources of a weight share its steps.
    """
    to_rows = add_into_rows(inputs, n_source)
    return (to_rows, pick_columns(None)) if adds_rows(inputs, n_source) else (None, to_rows)


def made_ready(connections: Sequence[Connection], sizes: Sequence[int]) -> list[Ready]:
    """Return connections made ready, with one joint for all those that have the same one.

    Args:
        connections: those of a wiring.
        sizes: number of neurons of each layer.
    """
    steps, rows, support = Steps(), cache(row_maps), cache(support_finder)

    @cache
    def ready_route(weight: Weight, gather: Map | None, route: Route, n_target: int) -> ReadyRoute:
        return ReadyRoute(route, n_target, steps.of(weight, gather, route, n_target))

    @cache
    def joint(
        weight: Weight, inputs: Entries, routes: tuple[Route, ...], n_source: int, n_target: int
    ) -> Joint:
        gather, select = rows(inputs, n_source)
        ready = [ready_route(weight, gather, route, n_target) for route in routes]
        ends = tuple((route.channels, route.neurons) for route in routes)
        shape = weight.groups, inputs, n_source, n_target, ends
        return Joint(
            inputs, n_source, select, ready, support(*shape) if weight.groups > 1 else None
        )

    return [
        Ready(c, joint(c.weight, c.inputs, c.routes, sizes[c.source], sizes[c.target]), _part(c))
        for c in connections
    ]


def _part(connection: Connection) -> Part | None:
    if connection.part is None:
        return None
    kernel, columns = connection.part
    return Part(kernel, torch.tensor(columns))
