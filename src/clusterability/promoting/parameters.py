"""The parameters of a module that can be changed in place, and factors laid out as they lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.graph.canonical import group
from clusterability.shown import quoted
from clusterability.tracing.effective import hook_made_parameters
from clusterability.tracing.naming import split_name
from clusterability.wiring import Wiring
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import picks
from clusterability.wiring.weights import Weight


def own_parameter(model: nn.Module, name: str) -> Tensor:
    """Return the tensor to change in place so that an effective parameter changes by a factor.

    It is the parameter itself, or where :mod:`torch.nn.utils.prune` masks it, what is masked.

    Raises:
        InputError: if the module computes the parameter in another way.
    """
    path, attribute = split_name(name)
    part: nn.Module | None = None
    try:
        part = model.get_submodule(path)
    except AttributeError:
        path = ""
    if part is not None:
        masked = attribute in hook_made_parameters(part) and hasattr(part, f"{attribute}_mask")
        held = dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        found = held.get(f"{attribute}_orig" if masked else attribute)
        if isinstance(found, Tensor):
            return found
    raise InputError(
        f"{quoted(name)} is computed from other parameters, so that it cannot be scaled in place; "
        "make it a plain parameter first, as torch.nn.utils.parametrize.remove_parametrizations "
        "does"
    )


def check_not_shared(model: nn.Module, wiring: Wiring) -> None:
    """Refuse a weight that the network uses in several places.

    Raises:
        InputError: that names it.
    """
    reads: dict[tuple[str, int], tuple[int, int]] = {}
    for connection in wiring.connections:
        name = connection.weight.name
        for i, neuron in enumerate(_inputs(connection, wiring)):
            place = (connection.source, neuron)
            if neuron >= 0 and reads.setdefault((name, i), place) != place:
                raise InputError(_shared(name))
    names = dict.fromkeys(connection.weight.name for connection in wiring.connections)
    kept: dict[int, str] = {}
    for name in names:
        if kept.setdefault(own_parameter(model, name).data_ptr(), name) != name:
            raise InputError(_shared(name))


def _inputs(connection: Connection, wiring: Wiring) -> Iterable[int]:
    if connection.inputs is not None:
        return connection.inputs
    return range(wiring.layers[connection.source].n_neurons)


def _shared(name: str) -> str:
    return (
        f"{quoted(name)} is used in several places of the network, expected a weight for each; "
        "make a copy of its module for every place"
    )


def plain_chain(wiring: Wiring) -> list[str] | None:
    """Return the names of a chain's weights, each of which reads all that the one before gives.

    None if there are skips, scales or factors on the way, or several inputs are one neuron. The
    weights may be matrices, or kernels of convolutions.
    """
    connections = wiring.connections
    is_chain = all(
        (c.source, c.target) == (i, i + 1)
        and c.inputs is None
        and c.routes == (Route(),)
        and c.weight == Weight(c.weight.name)
        for i, c in enumerate(connections)
    )
    names = [connection.weight.name for connection in connections]
    return names if is_chain and len(set(names)) == len(names) else None


def connections_by_weight(wiring: Wiring) -> dict[Weight, list[Connection]]:
    """Return the connections of each weight, in the order of the weights."""
    found: defaultdict[Weight, list[Connection]] = defaultdict(list)
    for connection in wiring.connections:
        found[connection.weight].append(connection)
    return found


def spread(weight: Weight, factors: Tensor, shape: Sequence[int]) -> Tensor:
    """Return factors of a weight's connections so that they multiply its parameter.

    Args:
        weight: how the parameter lies.
        factors: (n_inputs, n_outputs), in the order of :meth:`Weight.sizes`.
        shape: of the parameter.

    >>> spread(Weight("w"), torch.tensor([[1.0, 2.0, 3.0]]), (3, 1, 5, 5)).shape
    torch.Size([3, 1, 1, 1])
    """
    if len(shape) == 2:
        return factors if weight.layout == "in-out" else factors.mT
    n_windows = len(shape) - 2
    if weight.groups > 1:
        n_in, n_out = factors.shape[0] // weight.groups, factors.shape[1] // weight.groups
        parts = factors.reshape(weight.groups, n_in, weight.groups, n_out)
        inside = parts.diagonal(dim1=0, dim2=2)  # (inputs, outputs, group)
        factors = inside.permute(2, 0, 1) if weight.transposed else inside.permute(0, 2, 1)
        factors = factors.flatten(0, 1) if weight.transposed else factors.flatten(1)
    if weight.layout == "in-out":
        return factors.reshape(*[1] * n_windows, *factors.shape)
    factors = factors if weight.transposed else factors.mT
    return factors.reshape(*factors.shape, *[1] * n_windows)


def tied_neurons(parameters: Mapping[str, Tensor], wiring: Wiring) -> list[NDArray[np.int64]]:
    """Return a group for each neuron: neurons that one output of a weight reaches share it."""
    offsets = np.cumsum([0, *(layer.n_neurons for layer in wiring.layers)])
    n, firsts, pairs = int(offsets[-1]), {}, []
    for connection in wiring.connections:
        n_outputs = _sizes(parameters, connection.weight)[1]
        if connection.weight.name not in firsts:
            firsts[connection.weight.name] = n
            n += n_outputs
        n_target = wiring.layers[connection.target].n_neurons
        for route in connection.routes:
            channels = firsts[connection.weight.name] + picks(route.channels, n_outputs).numpy()
            neurons = offsets[connection.target] + picks(route.neurons, n_target).numpy()
            pairs.append(np.stack([channels, neurons]))
    groups = group(np.concatenate(pairs, axis=1), n)
    return [groups[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


def tags_of_weight(
    parameters: Mapping[str, Tensor], connections: Sequence[Connection], tags: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the tag of what each input of a weight reads, and of what each output reaches.

    Args:
        parameters: as they act; they have the weight.
        connections: those of the weight.
        tags: of each layer's neurons, -1 where a neuron has none.

    Returns:
        (n_inputs,) and (n_outputs,), -1 where there is none.

    Raises:
        InputError: if an output reaches neurons of different tags, or the weight is used in
            several places.
    """
    offsets = np.cumsum([0, *(len(found) for found in tags)])
    read = read_neurons(parameters, connections, offsets.tolist())
    given = torch.where(read >= 0, torch.cat([*tags])[read], -1)
    made = torch.full((_sizes(parameters, connections[0].weight)[1],), -1)
    for connection in connections:
        target = tags[connection.target]
        for route in connection.routes:
            channels = picks(route.channels, len(made))
            _enter(made, channels, target[picks(route.neurons, len(target))], connection)
    return given, made


def read_neurons(
    parameters: Mapping[str, Tensor], connections: Sequence[Connection], offsets: Sequence[int]
) -> Tensor:
    """Return the number of the neuron that each input of a weight reads, -1 if there is none.

    Args:
        parameters: as they act; they have the weight.
        connections: those of the weight.
        offsets: number of each layer's first neuron.

    Raises:
        InputError: if an input reads several neurons, of a weight that is used in several places.
    """
    n_inputs = _sizes(parameters, connections[0].weight)[0]
    found = torch.full((n_inputs,), -1)
    for connection in connections:
        inputs = picks(connection.inputs, n_inputs)
        here = torch.nonzero(inputs >= 0).squeeze(1)
        read = inputs[here] + int(offsets[connection.source])
        if bool(((found[here] >= 0) & (found[here] != read)).any()):
            raise InputError(_shared(connection.weight.name))
        found[here] = read
    return found


def _sizes(parameters: Mapping[str, Tensor], weight: Weight) -> tuple[int, int]:
    return weight.sizes(parameters[weight.name].shape)


def _enter(known: Tensor, places: Tensor, tags: Tensor, connection: Connection) -> None:
    places, tags = places[tags >= 0], tags[tags >= 0]
    before = known[places]
    known[places] = tags
    if bool(((before >= 0) & (before != tags)).any()) or bool((known[places] != tags).any()):
        raise InputError(
            f"{quoted(connection.weight.name)} leads to neurons of different tags, since a skip "
            "connection adds what they hold; give such neurons one tag, as cluster_tags does"
        )
