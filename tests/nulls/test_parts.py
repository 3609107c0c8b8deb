"""A shuffle is the graph of a network: blocks that repeat others in part follow them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import InputError, NeuronGraph, measure
from clusterability.evaluation import Draw, _drawn
from clusterability.graph import Block, Layer, Part
from clusterability.nulls.isolated import without_isolated
from clusterability.nulls.ties import check_copies, follow_wholes, untie
from clusterability.settings import Settings
from clusterability.sources import trace
from clusterability.tracing.modules import trace_module
from skipping import FORMS, Network, X

NOT_KEPT = "its mean added to the output"
"""One neuron's mean reaches all outputs, which no block of its own says."""

REPEATED = [
    *("skip", "two branches", "skip of a part", "skip, padded", "skip, rolled", "concatenated"),
    *("a part of a part", "added to the output"),
]


def flat_on_cpu(graph):
    return graph.with_flat_strengths(graph.flat_strengths().detach())


def shuffled(graph, null="layer", seed=0):
    return _drawn(
        flat_on_cpu(graph),
        Settings(null=null),
        Draw(None, shuffled=True),
        np.random.default_rng(seed),
    )


def with_strengths(model, graph):
    """Give a network the weights that make this graph; several blocks must say the same of one."""
    wiring = trace_module(model, (X,)).wiring
    parameters = dict(model.named_parameters())
    known = {name: torch.full_like(parameters[name], torch.nan) for name in parameters}
    for connection, block in zip(wiring.connections, graph.blocks, strict=True):
        weight = known[connection.weight.name].detach()
        (route,) = connection.routes
        n_outputs, n_inputs = weight.shape
        channels = range(n_outputs) if route.channels is None else route.channels
        neurons = range(len(channels)) if route.neurons is None else route.neurons
        inputs = range(n_inputs) if connection.inputs is None else connection.inputs
        for place, neuron in enumerate(inputs):
            if neuron < 0:
                continue
            for channel, target in zip(channels, neurons, strict=True):
                strength = block.strengths[neuron, target]
                before = weight[channel, place]
                assert torch.isnan(before) or torch.isclose(before, strength, rtol=1e-6)
                weight[channel, place] = strength
    with torch.no_grad():
        for name, weight in known.items():
            parameters[name].copy_(torch.nan_to_num(weight))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("null", ["layer", "nonzero"])
@pytest.mark.parametrize("form", REPEATED)
def test_a_shuffle_is_the_graph_of_a_network(form, null):
    model = Network(form)
    with torch.no_grad():
        model.a.weight[model.a.weight.abs() < 0.5] = 0
    graph = trace(model, example_inputs=X).graph
    found = shuffled(graph, null)
    assert not torch.equal(found.flat_strengths(), graph.flat_strengths())
    again = trace(with_strengths(model, found), example_inputs=X).graph
    torch.testing.assert_close(again.flat_strengths().detach(), found.flat_strengths())


def test_a_weight_of_several_places_is_told():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.c = nn.Linear(6, 6), nn.Linear(6, 4)

        def forward(self, x):
            return self.c(self.a(self.a(x).relu()).relu())

    notes = trace(Twice(), example_inputs=X).notes
    assert any("serve in several places of the network: a.weight;" in note for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_whether_shuffles_keep_it_is_told(form):
    notes = trace(Network(form), example_inputs=X).notes
    assert any("p may be too small" in note for note in notes) == (form == NOT_KEPT)


def test_parts_keep_their_scales():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.a, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(3)
            self.b, self.c = nn.Linear(8, 8), nn.Linear(11, 4)
            self.norm.weight.data = torch.tensor([2.0, 0.5, 3.0])

        def forward(self, x):
            h = self.a(x)
            return self.c(torch.cat([self.b(h.relu()), self.norm(h[:, 4:7])], 1))

    graph = trace(Scaled().eval(), example_inputs=X).graph
    (part,) = (i for i, block in enumerate(graph.blocks) if block.part is not None)
    before, after = graph.blocks[part], shuffled(graph).blocks[part]
    whole = shuffled(graph).blocks[0]
    expected = whole.strengths[:, 4:7] * torch.tensor([2.0, 0.5, 3.0]) * (1 + 1e-5) ** -0.5
    torch.testing.assert_close(after.strengths, expected)
    assert not torch.allclose(before.strengths, after.strengths)


def test_a_column_that_the_whole_has_not_leaves_the_others_tied():
    class Dead(nn.Module):
        """The whole is scaled by a batch norm, whose first weight is 0."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)
            self.c = nn.Linear(8, 4)
            self.norm.weight.data[0] = 0

        def forward(self, x):
            h = self.a(x)
            return self.c(nn.functional.pad(h[:, :3], (0, 5)) + self.b(self.norm(h).relu()))

    graph = trace(Dead().eval(), example_inputs=X).graph
    (part,) = (block for block in graph.blocks if block.part is not None)
    (whole,) = (block for block in graph.blocks if block.kernel == part.part.kernel)
    places = [graph.blocks.index(block) for block in (part, whole)]
    after, of_whole = (shuffled(graph).blocks[i].strengths for i in places)
    ratios = part.strengths.sum(0) / whole.strengths[:, :3].sum(0)
    assert ratios[0].isinf()
    torch.testing.assert_close(after[:, 1:], of_whole[:, 1:3] * ratios[1:])
    assert not torch.allclose(after[:, 0], of_whole[:, 0] * after[0, 0] / of_whole[0, 0])


def test_zeros_in_both_tell_no_other_scale():
    first = torch.tensor([[0.0, 2.0, 3.0], [0.0, 5.0, 6.0]])
    graph = skipping_graph(first)
    doubled = replace(graph.blocks[1], strengths=2 * graph.blocks[1].strengths)
    graph = flat_on_cpu(NeuronGraph(graph.layers, (graph.blocks[0], doubled, graph.blocks[2])))
    found = shuffled(graph).blocks
    assert torch.equal(found[1].strengths, 2 * found[0].strengths[:, [1, 0]])


def skipping_graph(first=None):
    """input -> hidden -> output, the first two hidden neurons added to the output in turn."""
    first = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) if first is None else first
    layers = (Layer("input", 2), Layer("hidden", 3), Layer("output", 2))
    part = Part("a", torch.tensor([1, 0]))
    blocks = (
        Block(0, 1, first, kernel="a"),
        Block(0, 2, first[:, [1, 0]], part=part),
        Block(1, 2, torch.ones(3, 2)),
    )
    return flat_on_cpu(NeuronGraph(layers, blocks))


def test_without_its_whole_a_part_is_shuffled_by_itself():
    graph = skipping_graph()
    alone = NeuronGraph(graph.layers, graph.blocks[1:])
    assert follow_wholes(alone, alone) is alone
    independent = untie(graph)
    assert {(block.kernel, block.part) for block in independent.blocks} == {(None, None)}
    drawn = {
        tuple(shuffled(independent, seed=i).blocks[1].strengths.flatten().tolist())
        for i in range(9)
    }
    assert all(sorted(values) == [1, 2, 4, 5] for values in drawn)
    assert len(drawn) > 3


def test_of_a_whole_that_is_zero_nothing_is_known():
    graph = skipping_graph()
    blocks = (replace(graph.blocks[0], strengths=torch.zeros(2, 3)), *graph.blocks[1:])
    scaled_to_zero = flat_on_cpu(NeuronGraph(graph.layers, blocks))
    drawn = [shuffled(scaled_to_zero, seed=i).blocks[1].strengths for i in range(5)]
    assert all(sorted(strengths.flatten().tolist()) == [1, 2, 4, 5] for strengths in drawn)
    assert len({tuple(strengths.flatten().tolist()) for strengths in drawn}) > 2


def test_isolated_neurons_are_dropped_from_both():
    first = torch.tensor([[0.0, 2.0, 3.0], [0.0, 5.0, 6.0]])
    graph = skipping_graph(first)
    ends = replace(graph.blocks[2], strengths=torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))
    graph = flat_on_cpu(NeuronGraph(graph.layers, (*graph.blocks[:2], ends)))
    kept = without_isolated(graph)
    # Column 0 of the whole is gone, of which the second output's is a copy.
    assert kept.blocks[1].part.columns.tolist() == [0, -1]
    alive = graph.degrees() > 0
    with pytest.raises(InputError, match="copies of the kernel 'a' lose different neurons"):
        check_copies(graph, alive)
    assert measure(graph, n_clusters=2, n_shuffles=2, isolated="drop-first", ties="independent")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            Part("a", [1, 0]),
            "expected a torch.int64 tensor on the CPU with one for each of 2 neurons",
        ),
        (
            Part("a", torch.tensor([1])),
            "expected a torch.int64 tensor on the CPU with one for each of 2",
        ),
        (Part("a", torch.tensor([1, 3])), "or a column that is not there"),
        (Part("a", torch.tensor([1, -2])), "or a column that is not there"),
    ],
)
def test_columns_that_are_not_there_are_refused(part, words):
    graph = skipping_graph()
    with pytest.raises(InputError, match=words):
        NeuronGraph(graph.layers, (graph.blocks[0], replace(graph.blocks[1], part=part)))
