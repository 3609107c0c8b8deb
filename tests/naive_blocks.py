"""Blocks of a wiring by naive loops, and small wirings to compare."""

import torch

from clusterability.graph import Layer
from clusterability.wiring.connections import Connection
from clusterability.wiring.weights import Weight
from clusterability.wiring.wiring import Wiring


def two_layers(n_source, n_target, weight=None, **connection):
    layers = (Layer("first", n_source), Layer("second", n_target))
    return Wiring(layers, (Connection(0, 1, weight or Weight("w"), **connection),))


def strengths(wiring, **parameters):
    return wiring.graph(parameters).blocks[0].strengths


def drawn(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def flattened(n_channels, n_pixels, layout="out-in"):
    """The channel of each input of a dense weight that reads an image."""
    channels = list(range(n_channels))
    if layout == "in-out":
        return tuple(channels * n_pixels)
    return tuple(channel for channel in channels for _ in range(n_pixels))


def naive_dense(weight, n_source, n_pixels, layout):
    """A double loop over neurons, with an inner one over a channel's pixels."""
    n_target = weight.shape[0] if layout == "out-in" else weight.shape[1]
    block = torch.zeros(n_source, n_target, dtype=weight.dtype)
    for source in range(n_source):
        for target in range(n_target):
            for pixel in range(n_pixels):
                if layout == "out-in":
                    entry = weight[target, source * n_pixels + pixel]
                else:
                    entry = weight[pixel * n_source + source, target]
                block[source, target] += abs(entry)
    return block


def naive_block(wiring, connection, parameters):
    """Every input, every arrival of every route, one at a time; and where there is a connection."""
    weight = connection.weight
    norms = parameters[weight.name].abs()
    norms = norms.flatten(2).sum(2) if norms.ndim > 2 else norms
    n_out, per_group = norms.shape
    n_in = per_group * weight.groups
    shape = [wiring.layers[end].n_neurons for end in (connection.source, connection.target)]
    block, support = torch.zeros(shape, dtype=norms.dtype), torch.zeros(shape, dtype=torch.bool)
    inputs = range(n_in) if connection.inputs is None else connection.inputs
    for i, source in enumerate(inputs):
        for route in connection.routes:
            channels = range(n_out) if route.channels is None else route.channels
            for arrival, channel in enumerate(channels):
                same_group = i // per_group == channel // (n_out // weight.groups)
                if source < 0 or not same_group:
                    continue
                target = arrival if route.neurons is None else route.neurons[arrival]
                strength = norms[channel, i % per_group] * route.factor
                for scale, entries in route.scales:
                    values = scale.values(parameters, norms)
                    strength = strength * values[arrival if entries is None else entries[arrival]]
                block[source, target] += strength
                support[source, target] = True
    return block, support
