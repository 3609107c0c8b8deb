"""Graphs of neurons: layers, and the blocks of strengths that join them."""

from clusterability.graph.blocks import Block, Layer, Part
from clusterability.graph.graph import NeuronGraph

__all__ = ["Block", "Layer", "NeuronGraph", "Part"]
