"""Graphs that several benchmarks measure."""

import numpy as np
import torch

from clusterability import NeuronGraph, neuron_graph
from clusterability.sources.names import network_from_name

SHAPES = {
    "mlp": (784, 256, 256, 256, 256, 10),
    "vgg16": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
}


def load(name: str) -> NeuronGraph:
    """Return a network's graph, or for ``mlp`` and ``vgg16`` random strengths of that shape."""
    if name not in SHAPES:
        return neuron_graph(network_from_name(name))
    generator = torch.Generator().manual_seed(0)
    shapes = zip(SHAPES[name][:-1], SHAPES[name][1:], strict=True)
    if name == "vgg16":
        return NeuronGraph.chain([torch.rand(shape, generator=generator) for shape in shapes])
    rng = np.random.default_rng(0)
    strengths = [np.abs(rng.normal(size=shape)).astype(np.float32) for shape in shapes]
    return NeuronGraph.chain([torch.from_numpy(s) for s in strengths])
