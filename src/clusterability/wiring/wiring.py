"""Which parameter joins which layer to which: found once per architecture, without weights.

Every front end (traced modules, state dicts) yields a :class:`Wiring`; with weights it becomes a
graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.shown import quoted
from clusterability.wiring.kernels import find_kernel_norm
from clusterability.wiring.scales import Scale
from clusterability.wiring.weights import Weight, support_of, weight_strengths

Entries = tuple[int, ...] | None


@dataclass(frozen=True)
class Path:
    """A way from the outputs of a weight to the neurons of a layer.

    Attributes:
        channels: outputs of the weight that arrive, one for each arrival; None for all in order.
        neurons: the neuron of the target layer at which each arrives; None for all in order.
        scales: what multiplies on the way, each with its entry for each arrival; None for one
            entry an arrival, in order.
        factor: a plain number that multiplies on the way.
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
        paths: the ways to the target; their strengths add up.
        kernel: a name that copies of one block share, as a skip connection makes them; None if
            there are no copies.
    """

    source: int
    target: int
    weight: Weight
    inputs: Entries = None
    paths: tuple[Path, ...] = (Path(),)
    kernel: str | None = None


@dataclass(frozen=True)
class Wiring:
    """Layers of a network and the parameters that join them; holds no weights.

    >>> from clusterability import toy
    >>> layers = (Layer("input", 4), Layer("stem", 4))
    >>> wiring = Wiring(layers, (Connection(0, 1, Weight("stem.weight")),))
    >>> wiring.graph(toy.ResidualMLP().state_dict()).blocks[0].strengths[0]
    tensor([1.0000, 0.1000, 1.0000, 0.1000])
    """

    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters that :meth:`graph` reads, each once."""
        names: dict[str, None] = {}
        for connection in self.connections:
            names[connection.weight.name] = None
            for path in connection.paths:
                for scale, _ in path.scales:
                    names.update(dict.fromkeys(scale.parameter_names))
        return tuple(names)

    def graph(self, parameters: Mapping[str, Tensor], kernel_norm: str = "l1") -> NeuronGraph:
        """The graph of these parameters, differentiable in them, on their device.

        A block is (n_source, n_target): absolute weights of a dense layer, summed over a channel's
        flattened pixels; the norm of each kernel slice of a convolution; times the scales on the
        way. Half precision goes to float32.

        Source: section 1.1 of Filan et al. (2021).

        Raises:
            InputError: if a parameter is missing, misshapen, not floating point, NaN, infinite, or
                zero throughout; if nothing reaches a layer; or if the kernel norm is unknown or
                does not fit.
        """
        norm = find_kernel_norm(kernel_norm)
        blocks: list[Block] = []
        # One weight at a time is looked up and let go, so a mapping that drops what it has handed
        # out never holds weights and strengths together.
        current: tuple[Weight, Tensor] | None = None
        for connection in self.connections:
            if current is None or current[0] != connection.weight:
                current = connection.weight, weight_strengths(connection.weight, parameters, norm)
            blocks.append(self._block(connection, current[1], parameters))
        self._check_reached(blocks)
        dtype = reduce(torch.promote_types, (block.strengths.dtype for block in blocks))
        return NeuronGraph(
            self.layers,
            tuple(
                Block(b.source, b.target, b.strengths.to(dtype), b.support, b.kernel)
                for b in blocks
            ),
        )

    def _block(
        self, connection: Connection, strengths: Tensor, parameters: Mapping[str, Tensor]
    ) -> Block:
        n_source = self.layers[connection.source].n_neurons
        n_target = self.layers[connection.target].n_neurons
        weight = connection.weight
        _check_inputs(connection, strengths, n_source)
        support = support_of(weight, strengths)
        strengths = _gathered(strengths, connection.inputs, n_source)
        if support is not None:
            support = _gathered(support.double(), connection.inputs, n_source)
        reached: Tensor | None = None
        places: Tensor | None = None
        for path in connection.paths:
            part = _along(path, strengths, n_target, weight, parameters)
            reached = part if reached is None else reached + part
            if support is not None:
                bare = Path(path.channels, path.neurons)
                part = _along(bare, support, n_target, weight, parameters)
                places = part if places is None else places + part
        assert reached is not None
        return Block(
            connection.source,
            connection.target,
            reached,
            None if places is None else places > 0,
            connection.kernel,
        )

    def _check_reached(self, blocks: list[Block]) -> None:
        """Refuse a layer that weights lead to, but with strengths of zero alone."""
        reached: set[int] = set()
        missed: dict[int, int] = {}
        for i, block in enumerate(blocks):
            if float(block.strengths.detach().amax()) > 0:
                reached.add(block.target)
            else:
                missed.setdefault(block.target, i)
        for target, i in missed.items():
            if target not in reached:
                raise InputError(self._why_zero(self.connections[i]))

    def _why_zero(self, connection: Connection) -> str:
        name = quoted(connection.weight.name)
        scales = [scale for path in connection.paths for scale, _ in path.scales]
        if all(path.factor == 0 for path in connection.paths):
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


def _check_inputs(connection: Connection, strengths: Tensor, n_source: int) -> None:
    n_inputs = strengths.shape[0]
    expected = n_source if connection.inputs is None else len(connection.inputs)
    if n_inputs != expected:
        raise InputError(
            f"{quoted(connection.weight.name)} has {n_inputs} inputs, expected {expected}"
        )


def _gathered(strengths: Tensor, inputs: Entries, n_source: int) -> Tensor:
    """Rows of the inputs of one neuron added up: (n_inputs, n_out) -> (n_source, n_out)."""
    if inputs is None:
        return strengths
    index = torch.tensor(inputs)
    pixels = len(inputs) // n_source
    neurons = torch.arange(n_source)
    if len(inputs) == n_source * pixels:  # a reshape adds up faster than an index
        if torch.equal(index, neurons.repeat_interleave(pixels)):
            return strengths.reshape(n_source, pixels, -1).sum(1)
        if torch.equal(index, neurons.repeat(pixels)):
            return strengths.reshape(pixels, n_source, -1).sum(0)
    places = (index >= 0).nonzero().squeeze(1)
    first, last = int(places[0]), int(places[-1]) + 1
    # A slice of a transposed matrix is free, rows picked one by one are not.
    if last - first == len(places):
        rows = strengths[first:last]
    else:
        rows = strengths.index_select(0, places.to(strengths.device))
    owners = index[places]
    if torch.equal(owners, neurons):
        return rows
    zeros = strengths.new_zeros(n_source, strengths.shape[1])
    return zeros.index_add(0, owners.to(strengths.device), rows)


def _along(
    path: Path, strengths: Tensor, n_target: int, weight: Weight, parameters: Mapping[str, Tensor]
) -> Tensor:
    """(n_source, n_out) -> (n_source, n_target) along one path."""
    columns = strengths
    if path.channels is not None:
        channels = torch.tensor(path.channels, device=strengths.device)
        if int(channels.max()) >= strengths.shape[1]:
            raise InputError(
                f"{quoted(weight.name)} has {strengths.shape[1]} outputs, expected "
                f"{int(channels.max()) + 1} or more"
            )
        columns = strengths.index_select(1, channels)
    for scale, entries in path.scales:
        values = scale.values(parameters, columns)
        if entries is not None and max(entries) < values.numel():
            values = values[torch.tensor(entries, device=values.device)]
        if values.shape != columns.shape[1:]:
            raise InputError(
                f"{quoted(scale.name)} has {values.numel()} channels, but scales a layer of "
                f"{columns.shape[1]} neurons"
            )
        columns = columns * values
    if path.factor != 1:
        columns = columns * path.factor
    if path.neurons is not None:
        neurons = torch.tensor(path.neurons, device=strengths.device)
        zeros = columns.new_zeros(columns.shape[0], n_target)
        return zeros.index_add(1, neurons, columns)
    if columns.shape[1] != n_target:
        raise InputError(
            f"{quoted(weight.name)} gives {columns.shape[1]} outputs, expected {n_target}"
        )
    return columns
