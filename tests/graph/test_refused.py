"""Layers and blocks that make no graph."""

import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from graphs import chain_of

A, B = Layer("a", 2), Layer("b", 3)


@pytest.mark.parametrize(
    ("layers", "block", "message"),
    [
        ((A, B), Block(0, 2, torch.ones(2, 3)), "names layer 2, but there are 2 layers"),
        ((A, B), Block(-1, 1, torch.ones(2, 3)), "names layer -1"),
        (
            (A, B),
            Block(1, 1, torch.ones(2, 3)),
            r"within 'b' has shape \(2, 3\), expected \(3, 3\)",
        ),
        ((A, B), Block(0, 1, torch.ones(3, 2)), r"shape \(3, 2\), expected \(2, 3\)"),
        ((A, B), Block(0, 1, torch.ones(2, 3, dtype=torch.int64)), "torch.int64, not floats"),
        ((A, Layer("b", 0)), Block(0, 1, torch.ones(2, 0)), "a layer has no neurons"),
        (
            (A, B),
            Block(0, 1, torch.ones(0, 2, 3)),
            r"shape \(0, 2, 3\), a batch of no graphs; give",
        ),
    ],
)
def test_blocks_that_do_not_fit_are_refused(layers, block, message):
    with pytest.raises(InputError, match=message):
        NeuronGraph(layers, (block,))


def test_chains_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="at least one block"):
        NeuronGraph.chain([])
    with pytest.raises(InputError, match=r"2-D, got shape \(4,\)"):
        NeuronGraph.chain([torch.ones(4)])
    with pytest.raises(InputError, match="'layer1' and 'layer2'"):
        NeuronGraph.chain([torch.ones(2, 3), torch.ones(4, 2)])


def test_blocks_on_several_devices_are_refused():
    blocks = (Block(0, 1, torch.ones(2, 3)), Block(0, 1, torch.ones(2, 3, device="meta")))
    with pytest.raises(InputError, match=r"several devices \(cpu, meta\)"):
        NeuronGraph((A, B), blocks)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.5, r"negative strength \(-0.5\); take absolute values"),
        (float("nan"), "NaN or infinite"),
        (float("inf"), "NaN or infinite"),
        (float("-inf"), "NaN or infinite"),
    ],
)
def test_strengths_that_no_graph_can_have_are_refused(value, message):
    graph = chain_of([[1.0, 2.0]], [[3.0], [value]])
    with pytest.raises(InputError, match=f"'layer1' and 'layer2' holds.*{message}"):
        graph.check_strengths()


def test_a_graph_without_blocks_is_refused():
    with pytest.raises(InputError, match="no blocks"):
        NeuronGraph((A, B), ()).check_strengths()


@pytest.mark.parametrize(
    "block", [np.ones((2, 3), int), np.array([["a"]]), np.ones((2, 3), complex)]
)
def test_arrays_without_floats_are_refused(block):
    with pytest.raises(InputError, match=r"a block holds .*, not floats; convert it"):
        NeuronGraph.chain([block])


@pytest.mark.parametrize("strengths", [5, None, np.ones((2, 3, 4)), torch.ones(2, 3)])
def test_what_is_no_list_of_blocks(strengths):
    with pytest.raises(InputError, match="a chain is a list of blocks of strengths, got"):
        NeuronGraph.chain(strengths)


@pytest.mark.parametrize(
    "layer",
    [
        "layer",
        Layer(5, 3),
        Layer("a", 3.0),
        Layer("a", -1),
        Layer("a", 3, ("x", "y")),
        Layer("a", 3, ["x", "y", "z"]),
        Layer("a", 3, (1, 2, 3)),
        Layer("a", 3, "xyz"),
    ],
)
def test_what_is_no_layer(layer):
    with pytest.raises(InputError, match="layer"):
        NeuronGraph((layer, Layer("b", 2)), (Block(0, 1, torch.ones(3, 2)),))


def test_lists_and_graphs_without_blocks_are_refused():
    with pytest.raises(InputError, match=r"a block must be a tensor, got list; use torch\.as_t"):
        NeuronGraph.chain([[[1.0, 2.0]]])
    with pytest.raises(InputError, match="the graph has no block of strengths"):
        NeuronGraph((Layer("a", 3),), ()).degrees()


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        (torch.ones(3, 4, 5), r"shape \(3, 4, 5\), a batch of graphs, .* by itself"),
        (torch.ones(4, 5, device="meta"), "on the device meta"),
    ],
)
def test_graphs_that_cannot_be_measured(strengths, message):
    with pytest.raises(InputError, match=message):
        NeuronGraph.chain([strengths]).check_strengths()
