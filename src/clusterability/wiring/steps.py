"""The steps that a weight's strengths take along its routes; those that begin alike share some.

Behind a skip connection a weight reaches many layers, with ever more scales on the way; a layer
that reads a concatenation has one weight for many sources. What is common is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from operator import mul

from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.wiring.connections import Route
from clusterability.wiring.index_maps import Entries, Map, add_into_columns, pick_columns
from clusterability.wiring.scales import Scale, ScaleValues
from clusterability.wiring.weights import Weight, spread_groups


class Step:
    """One change of strengths, (..., rows, columns) before and after it.

    Args:
        change: the change; if there is a scale, what picks its entry for each column.
        scale: what multiplies the columns, if anything does.
        entries: of the scale those that count, one for each column; None for all in order.

    Attributes:
        n_joints: number of joints that take it, after the same steps before.
    """

    def __init__(self, change: Map, scale: Scale | None = None, entries: Entries = None) -> None:
        self.n_joints = 0
        self._change, self._scale = change, scale
        self._n_needed = None if entries is None else max(entries) + 1

    def __call__(self, strengths: Tensor, values: ScaleValues) -> Tensor:
        if self._scale is None:
            return self._change(strengths)
        return strengths * self._change(values.of(self._scale, strengths))[..., None, :]

    def check(self, n_columns: int, values: ScaleValues, like: Tensor) -> None:
        """Refuse a scale that does not fit.

        Args:
            n_columns: of the strengths.
            values: those of scales, checked.
            like: strengths in whose precision these come.

        Raises:
            InputError: if it is missing, misshapen or not finite.
        """
        if self._scale is None:
            return
        n_values, n_needed = values.of(self._scale, like).shape[-1], self._n_needed
        if n_values != n_columns if n_needed is None else n_values < n_needed:
            raise InputError(
                f"{quoted(self._scale.name)} has {n_values} channels, but scales a layer of "
                f"{n_columns} neurons"
            )


class Taken:
    """What a weight's strengths are after the steps that several joints take.

    Args:
        weight: how they lie.
        strengths: those within its groups, (..., n_inputs of one group, n_outputs).
        values: those of scales, with the leading axes of the strengths.
    """

    def __init__(self, weight: Weight, strengths: Tensor, values: ScaleValues) -> None:
        n_inputs, n_outputs = strengths.shape[-2:]
        self.sizes = n_inputs * weight.groups, n_outputs
        self._strengths, self._values = strengths, values
        self._after: dict[Step, Tensor] = {}

    def after(self, steps: Sequence[Step]) -> Tensor:
        """Return the strengths after some steps; of those that are known none is taken again."""
        strengths = self._strengths
        for step in steps:
            known = self._after.get(step)
            strengths = step(strengths, self._values) if known is None else known
            if step.n_joints > 1:
                self._after[step] = strengths
        return strengths


class Steps:
    """The steps of the routes of a wiring; those of a weight that begin alike share the first."""

    def __init__(self) -> None:
        self._pick = cache(pick_columns)  # batch norms in a row have the same entries
        self._known: dict[tuple[object, ...], Step] = {}

    def of(self, weight: Weight, gather: Map | None, route: Route, n_target: int) -> list[Step]:
        """Return the steps of a route from the outputs of a weight to a layer.

        Args:
            weight: whose strengths take them.
            gather: what is done first, to the rows; None for nothing.
            route: to the layer.
            n_target: number of neurons of the layer.
        """
        steps: list[Step] = []
        add = partial(self._append, weight, steps)
        # Scales of outputs are within groups, where strengths take far less memory.
        spreads_late = weight.groups > 1 and gather is None and route.channels is None
        if weight.groups > 1 and not spreads_late:
            add(_spreading, weight.groups)
        if gather is not None:
            add(Step, gather)
        if route.channels is not None:
            add(self._picking, route.channels)
        for scale, entries in route.scales:
            add(self._scaling, scale, entries)
        if route.factor != 1:
            add(_multiplying, route.factor)
        if spreads_late:
            add(_spreading, weight.groups)
        if route.neurons is not None:
            add(_adding, route.neurons, n_target)
        return steps

    def _append(
        self, weight: Weight, steps: list[Step], make: Callable[..., Step], *how: object
    ) -> None:
        """Append a step, the same one for all routes that take it after the same steps."""
        key = (steps[-1] if steps else weight, make, *how)
        if key not in self._known:
            self._known[key] = make(*how)
        steps.append(self._known[key])

    def _picking(self, channels: Entries) -> Step:
        return Step(self._pick(channels))

    def _scaling(self, scale: Scale, entries: Entries) -> Step:
        return Step(self._pick(entries), scale, entries)


def _spreading(groups: int) -> Step:
    return Step(partial(spread_groups, groups))


def _multiplying(factor: float) -> Step:
    return Step(partial(mul, factor))


def _adding(neurons: Entries, n_target: int) -> Step:
    return Step(add_into_columns(neurons, n_target))
