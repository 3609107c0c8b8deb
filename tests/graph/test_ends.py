import numpy as np
import pytest
import torch
from torch import nn

from clusterability import InputError, NeuronGraph, measure, neuron_graph, toy
from clusterability.graph.canonical import canonical, ties
from clusterability.graph.ends import only_layers
from clusterability.promoting import HiddenScales


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10)),
        *(nn.ReLU(), nn.Linear(10, 4)),
    )


def part_of(layers, blocks):
    return blocks[1:-1] if layers == "hidden" else blocks[1:]


def run(network, **choices):
    return measure(network, **{"n_clusters": 3, "n_shuffles": 4} | choices)


@pytest.mark.slow
@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs"])
def test_the_ends_of_a_chain_are_left_out(layers):
    graph = neuron_graph(mlp())
    part = NeuronGraph.chain(part_of(layers, [block.strengths for block in graph.blocks]))
    found = only_layers(graph, layers)
    assert found.layer_sizes == part.layer_sizes
    assert torch.equal(found.flat_strengths(), part.flat_strengths())
    with torch.no_grad():
        one, other = run(mlp(), layers=layers), run(part)
    assert one.ncut == other.ncut
    assert one.plain.null == other.plain.null
    names = {"hidden": ["0", "2", "4"], "hidden+outputs": ["0", "2", "4", "6"]}
    assert [layer.name for layer in one.layers] == names[layers]


@pytest.mark.slow
@pytest.mark.parametrize("isolated", ["drop-first", "drop-after"])
@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs"])
def test_canonical_scaling_sees_the_whole_network(layers, isolated):
    model = mlp()
    with torch.no_grad():
        model[0].weight[3] = 0
        model[4].weight[:, 5] = 0
    choices = {"layers": layers, "scaling": "canonical", "isolated": isolated}
    found = run(model, **choices)
    graph = neuron_graph(model)
    scaled = canonical(graph, ties(graph))
    blocks = part_of(layers, [block.strengths.detach() for block in scaled.blocks])
    assert found.ncut == pytest.approx(run(NeuronGraph.chain(blocks)).ncut, abs=1e-5)
    assert np.flatnonzero(found.labels < 0).tolist() == [3, 16 + 5]
    scales = HiddenScales(model)
    scales.apply_(torch.rand(scales.n_groups, dtype=torch.float64) + 0.1)
    assert run(model, **choices).ncut == pytest.approx(found.ncut, abs=1e-5)


def test_a_skip_keeps_its_copies():
    part = only_layers(toy.residual_chain(), "hidden")
    names = ["stream0", "hidden0", "stream1", "hidden1", "stream2"]
    assert [layer.name for layer in part.layers] == names
    kernels = [block.kernel for block in part.blocks]
    assert kernels == [None, "rise0", "rise0", None, None]


@pytest.mark.slow
def test_what_cannot_be_left_out_is_refused():
    with pytest.raises(InputError, match=r"layers='hidden' needs .* use layers='all'"):
        run(toy.two_triangles(), layers="hidden")
    with pytest.raises(InputError, match=r"layers is 'hidden', but that leaves no two layers"):
        run(toy.planted_mlp(), layers="hidden")
    with pytest.raises(InputError, match=r"layers is 'hidden', but the graph of a CNN has"):
        run(toy.planted_cnn(), layers="hidden", input_shape=(1, 8, 8))
    whole = {"include": ("input", "dense"), "input_shape": (1, 8, 8)}
    assert len(run(toy.planted_cnn(), layers="hidden", **whole).layers) == 3
    with pytest.raises(InputError, match=r"layers is 'inner', expected one of all, hidden"):
        run(toy.planted_mlp(), layers="inner")
