"""The n-cut in canonical scaling that stands beside the raw one."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import Clusterability, measure, neuron_graph, normalize_, toy
from clusterability.graph.canonical import canonical, ties
from clusterability.report.text import describe
from clusterability.sources import kinds, trace

FEW = {"n_clusters": 3, "n_shuffles": 0, "n_init": 3}


def mlp(activation=nn.ReLU):
    torch.manual_seed(0)
    widths = (12, 16, 14, 5)
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    return nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2])


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU()),
        *(nn.Conv2d(6, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(28, 4)),
    ).eval()


@pytest.mark.slow
def test_rescaling_changes_the_raw_ncut_alone():
    model = mlp()
    before = measure(model, **FEW)
    normalize_(model, target=3.0)
    with torch.no_grad():
        model[0].weight[:8] *= 50
        model[0].bias[:8] *= 50
        model[2].weight[:, :8] /= 50
    after = measure(model, **FEW)
    assert abs(after.ncut - before.ncut) > 0.01
    assert after.canonical.ncut == pytest.approx(before.canonical.ncut, abs=1e-4)
    assert after.canonical.refined_ncut == pytest.approx(before.canonical.refined_ncut, abs=1e-4)
    assert after.canonical.effective_clusters == pytest.approx(
        before.canonical.effective_clusters, abs=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("include", [(), ("input", "dense")])
def test_of_a_cnn_it_is_that_of_the_whole_network(include):
    """The strengths of the part that is measured, as the whole network's scaling leaves them."""
    model, shape = cnn(), (1, 8, 8)
    found = trace(model, include=include, input_shape=shape).canonical()
    whole = neuron_graph(model, include=("input", "dense"), input_shape=shape)
    scaled = canonical(whole, ties(whole))
    expected = scaled.blocks if include else scaled.blocks[1:3]
    assert len(found.blocks) == len(expected)
    for mine, other in zip(found.blocks, expected, strict=True):
        torch.testing.assert_close(mine.strengths, other.strengths)
    result = measure(model, **FEW, include=include, input_shape=shape)
    by_hand = measure(found, **FEW)
    assert result.canonical.refined_ncut == pytest.approx(by_hand.refined.ncut, abs=1e-6)


@pytest.mark.slow
def test_other_results_are_as_without_it(monkeypatch):
    choices = FEW | {"n_shuffles": 3}
    with_it = measure(mlp(), **choices)
    monkeypatch.setattr(kinds, "MOST_RESCALED", 10)
    without = measure(mlp(), **choices)
    assert without.canonical is None
    assert (with_it.ncut, with_it.refined.ncut) == (without.ncut, without.refined.ncut)
    assert np.array_equal(with_it.null_distribution, without.null_distribution)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [nn.GELU, nn.Tanh])
def test_only_where_the_function_stays(activation):
    model = mlp(activation)
    assert measure(model, **FEW).canonical is None
    (warning,) = measure(model, **FEW, scaling="canonical").warnings[1:]
    assert warning.startswith("canonical scaling does not keep the function of this network")


def test_weights_do_not_tell_and_the_shipped_network_does():
    assert measure(mlp().state_dict(), **FEW).canonical is None
    assert trace(toy.planted_mlp()).canonical is None
    shipped = trace("example:fashion-mnist-mlp")
    assert shipped.rescalable
    assert shipped.canonical is not None


def test_none_where_too_few_neurons_are_on_a_path():
    model = mlp()
    with torch.no_grad():
        model[2].weight[1:] = 0
        model[4].weight[:, 0] = 0
        model[4].weight[:, 1:] = 1
    result = measure(model, **FEW | {"n_clusters": 18})
    assert result.canonical is None


@pytest.mark.slow
def test_in_text_and_json():
    result = measure(mlp(), **FEW)
    found = result.canonical
    expected = rf"n-cut, canonical scaling +{found.ncut:.3f} +{found.refined_ncut:.3f}\n"
    assert re.search(expected, describe([result]))
    again = Clusterability.from_json(result.to_json())
    assert again.canonical == found
    old = {k: v for k, v in result.to_dict().items() if k != "canonical"}
    assert Clusterability.from_json(json.dumps(old)).canonical is None
    assert measure(mlp(), **FEW, scaling="canonical").canonical is None
