"""The canonical scaling of a network's graph is that of a network with the same function.

Every form ties hidden neurons in another way; what the network returns keeps its scale.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import InputError, NeuronGraph, balance_, measure
from clusterability.graph.canonical import canonical, ties
from clusterability.journal import _digest
from clusterability.nulls.isolated import without_isolated
from clusterability.nulls.ties import untie
from clusterability.settings import Settings
from clusterability.sources import trace
from skipping import FORMS, Network, X


def outputs(model):
    with torch.no_grad():
        found = model(X)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_graph_of_a_network_with_the_same_function(form):
    model = Network(form)
    balanced = copy.deepcopy(model)
    balance_(balanced, example_inputs=X)
    for found, expected in zip(outputs(balanced), outputs(model), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    expected = trace(balanced, example_inputs=X).graph.flat_strengths().detach()
    before = trace(model, example_inputs=X)
    found = before.canonical().flat_strengths()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert float(found.sum()) < float(before.graph.flat_strengths().detach().sum())


@pytest.mark.slow
@pytest.mark.parametrize("form", ["skip of a part", "returned"])
def test_a_measurement_in_canonical_scaling_is_of_it(form):
    choices = {"n_clusters": 3, "n_shuffles": 3, "example_inputs": X}
    model = Network(form)
    found = measure(model, scaling="canonical", **choices)
    balance_(model, example_inputs=X)
    assert found.ncut == pytest.approx(measure(model, **choices).ncut, abs=1e-5)
    again = measure(model, scaling="canonical", **choices)
    assert found.ncut == pytest.approx(again.ncut, abs=1e-5)


@pytest.mark.slow
def test_what_cannot_be_scaled_has_no_canonical_ncut():
    class Read(nn.Module):
        """A batch norm and a weight read the same neurons."""

        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)
            self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x):
            h = self.first(x)
            return self.third(self.norm(h).relu() + self.second(h.relu()))

    torch.manual_seed(0)
    choices = {"n_clusters": 3, "n_shuffles": 0, "example_inputs": X}
    assert measure(Read().eval(), **choices).canonical is None
    found = measure(Read().eval(), scaling="canonical", **choices)
    assert any("does not keep the function of this network" in w for w in found.warnings)


def chain(shared_scale=None):
    first = torch.tensor([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0]])
    second = torch.tensor([[5.0], [1.0], [0.0]])
    graph = NeuronGraph.chain([first, second])
    return graph if shared_scale is None else replace(graph, shared_scale=shared_scale)


def test_a_graph_says_which_neurons_have_one_factor():
    tied = chain(torch.tensor([7, 7, 3, 3, 5, 9]))
    scaled = canonical(tied, ties(tied))
    # 7 into both hidden neurons times c, 6 out of them divided by c.
    factor = (6 / 7) ** 0.5
    expected = [tied.blocks[0].strengths * factor, tied.blocks[1].strengths / factor]
    for block, wanted in zip(scaled.blocks, expected, strict=True):
        torch.testing.assert_close(block.strengths, wanted)
    fixed = chain(torch.tensor([-1, -1, -1, -1, -1, -1]))
    assert torch.equal(canonical(fixed, ties(fixed)).flat_strengths(), fixed.flat_strengths())


def test_its_other_forms_say_so_too():
    tied = chain(torch.tensor([-1, -1, 3, 3, 5, -1]))
    assert tied.with_flat_strengths(2 * tied.flat_strengths()).shared_scale is tied.shared_scale
    assert without_isolated(tied).shared_scale.tolist() == [-1, -1, 3, 3, -1]
    own = untie(tied).shared_scale
    assert own[[0, 1, 5]].tolist() == [-1, -1, -1]
    assert len(set(own[2:5].tolist())) == 3
    each = [Settings(n_clusters=2, n_init=1)]
    assert len({_digest(graph, each, "cpu") for graph in (tied, chain(), untie(tied))}) == 3


@pytest.mark.parametrize(
    "shared", [[0] * 6, np.zeros(6, int), torch.zeros(6), torch.zeros(5, dtype=torch.int64)]
)
def test_other_numbers_are_refused(shared):
    with pytest.raises(InputError, match=r"shared_scale is .* a number for each of 6 neurons"):
        replace(chain(), shared_scale=shared)


def test_a_shuffle_without_a_path_has_no_cut():
    """Of two paths through 10 hidden neurons, a shuffle may leave none."""
    strengths = torch.zeros(10, 10)
    strengths[0, 0] = strengths[1, 1] = 1.0
    graph = NeuronGraph.chain([strengths, strengths])
    result = measure(graph, 2, 20, scaling="canonical", workers=1, device="cpu")
    assert result.ncut == pytest.approx(0)
    assert 0.0 in result.plain.null.values
