"""Which parameter joins which layer to which: found once per architecture, without weights.

Every front end (traced modules, state dicts) yields a :class:`Wiring`; with weights it becomes a
graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.memory import check_fits
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.shown import quoted
from clusterability.wiring.collecting import without_collections
from clusterability.wiring.connections import Connection
from clusterability.wiring.joints import Ready, check_joints, made_ready
from clusterability.wiring.kernels import KernelNorm, find_kernel_norm, l1
from clusterability.wiring.parameters import find_parameter
from clusterability.wiring.scales import ScaleValues
from clusterability.wiring.steps import Taken
from clusterability.wiring.weights import Weight, check_weight, strengths_within_groups


def left_out_notes(parts: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence that names parts of a network that are left out, if there are any."""
    return (f"left out, as in the paper: {' and '.join(parts)}",) if parts else ()


@dataclass(frozen=True)
class Wiring:
    """Layers of a network and the parameters that join them; holds no weights.

    Attributes:
        layers: the layers.
        connections: what joins them.
        left_out: the parts of the network that the wiring has not, in words.
        reached_by_left_out: numbers of the layers that these parts reach, as the first convolution
            reaches all that read a sum with what it gives.

    >>> from clusterability import toy
    >>> layers = (Layer("input", 4), Layer("stem", 4))
    >>> wiring = Wiring(layers, (Connection(0, 1, Weight("stem.weight")),))
    >>> wiring.graph(toy.ResidualMLP().state_dict()).blocks[0].strengths[0]
    tensor([1.0000, 0.1000, 1.0000, 0.1000])
    """

    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    left_out: tuple[str, ...] = ()
    reached_by_left_out: tuple[int, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence that names what is left out, if anything is."""
        return left_out_notes(self.left_out)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters that :meth:`graph` reads, each once."""
        names: dict[str, None] = {}
        for connection in self.connections:
            names[connection.weight.name] = None
            for route in connection.routes:
                for scale, _ in route.scales:
                    names.update(dict.fromkeys(scale.parameter_names))
        return tuple(names)

    def places_in(self, whole: Wiring) -> list[int]:
        """Return the number of each connection in a wiring of the same network with more parts.

        >>> part = Wiring((Layer("a", 2), Layer("b", 2)), (Connection(0, 1, Weight("b.weight")),))
        >>> layers = (Layer("input", 3), *part.layers)
        >>> joined = (Connection(0, 1, Weight("a.weight")), Connection(1, 2, Weight("b.weight")))
        >>> part.places_in(Wiring(layers, joined))
        [1]
        """
        known = {_key(connection) for connection in self.connections}
        found = [i for i, c in enumerate(whole.connections) if _key(c) in known]
        assert len(found) == len(self.connections), "the whole lacks connections of the part"
        return found

    @cached_property
    def _ready(self) -> tuple[tuple[Weight, tuple[Ready, ...]], ...]:
        """The weights, each with its connections; connections in a row share one entry."""
        ready = made_ready(self.connections, [layer.n_neurons for layer in self.layers])
        by_weight = groupby(ready, lambda one: one.connection.weight)
        return tuple((weight, tuple(in_a_row)) for weight, in_a_row in by_weight)

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is ready out of copies and pickles: it holds tensors on a device."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def graph(self, parameters: Mapping[str, Tensor], kernel_norm: str = "l1") -> NeuronGraph:
        """Return the graph of these parameters, differentiable in them, on their device.

        It is that of :meth:`strengths`, between :meth:`check` and :meth:`check_strengths`.

        Source: section 1.1 of Filan et al. (2021).

        Raises:
            InputError: if a parameter is missing, misshapen, not floating point, NaN, infinite, or
                zero throughout; if nothing reaches a layer; or if the kernel norm is unknown or
                does not fit.
        """
        norm, values = find_kernel_norm(kernel_norm), ScaleValues(parameters, checked=True)
        with without_collections():
            self._check(parameters, values)
            graph = self._strengths(parameters, norm, 0, values)
            self.check_strengths(graph)
            return NeuronGraph(graph.layers, graph.blocks)

    def strengths(
        self, parameters: Mapping[str, Tensor], norm: KernelNorm = l1, n_leading: int = 0
    ) -> NeuronGraph:
        """Return the graph of these parameters without checking them, for every training step.

        A block is (..., n_source, n_target): absolute weights of a dense layer, summed over a
        channel's flattened pixels; the norm of each kernel slice of a convolution; times the
        scales on the routes. Half precision goes to float32. The call never waits for a GPU.

        Each weight is looked up once for its connections in a row, and let go: a mapping that
        drops the tensors that it hands out never holds weights and strengths together. Copies of a
        block with the same scales share one tensor.

        Args:
            parameters: by name, on one device; such as :meth:`graph` takes.
            norm: of a convolution's kernels.
            n_leading: number of leading axes of every parameter, along which networks of this
                wiring are stacked; the graph is then a batch.
        """
        return self._strengths(parameters, norm, n_leading, ScaleValues(parameters))

    def _strengths(
        self,
        parameters: Mapping[str, Tensor],
        norm: KernelNorm,
        n_leading: int,
        values: ScaleValues,
    ) -> NeuronGraph:
        blocks: list[Block] = []
        for weight, in_a_row in self._ready:
            parameter = parameters[weight.name]
            strengths = strengths_within_groups(weight, parameter, norm, n_leading)
            taken = Taken(weight, strengths, values)
            joints = dict.fromkeys(one.joint for one in in_a_row)
            of_joint = {joint: joint.strengths(taken) for joint in joints}
            blocks += [one.block(*of_joint[one.joint]) for one in in_a_row]
        dtypes = {block.strengths.dtype for block in blocks}
        if len(dtypes) > 1:
            widest = reduce(torch.promote_types, dtypes)
            widened = {b.strengths: b.strengths.to(widest) for b in blocks}
            blocks = [replace(b, strengths=widened[b.strengths]) for b in blocks]
        return NeuronGraph.unchecked(self.layers, tuple(blocks))

    def check(self, parameters: Mapping[str, Tensor]) -> None:
        """Refuse parameters of which no strengths can be computed.

        Raises:
            InputError: if one is missing, misshapen, not floating point, NaN or infinite, or the
                strengths do not fit into memory.
        """
        self._check(parameters, ScaleValues(parameters, checked=True))

    def _check(self, parameters: Mapping[str, Tensor], values: ScaleValues) -> None:
        sizes = [layer.n_neurons for layer in self.layers]
        n_strengths = sum(sizes[c.source] * sizes[c.target] for c in self.connections)
        check_fits(f"the graph of {sum(sizes):,} neurons", 4 * n_strengths)
        for weight, in_a_row in self._ready:
            parameter = find_parameter(parameters, weight.name)
            check_weight(weight, parameter)
            joints = dict.fromkeys(one.joint for one in in_a_row)
            check_joints(joints, weight, parameter, values)

    def check_strengths(self, graph: NeuronGraph) -> None:
        """Refuse a graph of :meth:`strengths` in which strengths overflow or a layer has none.

        A layer that some weights reach, left out or not, may have others of zeros alone.

        Raises:
            InputError: that names the weight.
        """
        reached = set(self.reached_by_left_out)
        missed: dict[int, Connection] = {}
        of_tensor: dict[Tensor, float] = {}  # copies of a block share one
        for connection, block in zip(self.connections, graph.blocks, strict=True):
            largest = of_tensor.get(block.strengths)
            if largest is None:
                largest = of_tensor[block.strengths] = float(block.strengths.detach().amax())
            if not math.isfinite(largest):
                name, dtype = quoted(connection.weight.name), block.strengths.dtype
                raise InputError(f"{name} is so large that its strengths overflow {dtype}")
            if largest > 0:
                reached.add(connection.target)
            else:
                missed.setdefault(connection.target, connection)
        for target, connection in missed.items():
            if target not in reached:
                raise InputError(_why_zero(connection))


def _key(connection: Connection) -> tuple[object, ...]:
    return connection.weight, connection.inputs, connection.routes


def _why_zero(connection: Connection) -> str:
    name = quoted(connection.weight.name)
    scales = [scale for route in connection.routes for scale, _ in route.scales]
    if all(route.factor == 0 for route in connection.routes):
        return f"what {name} gives is multiplied by 0, so that it joins no neurons"
    if scales:
        return (
            f"{name} and what scales it ({quoted(scales[0].name)}) give strengths of zero "
            "alone: one is zero wherever the other is not"
        )
    return (
        f"{name} is zero throughout, so that it joins no neurons; train or initialize it, "
        "prune less of it, or leave its layer out"
    )
