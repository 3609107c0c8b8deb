"""The twin against counts by hand, strengths by hand, and perturbation; no tracing here."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import hand_counts
from architectures import ARCHITECTURES
from clusterability.experiments import architectures as networks
from naive_tensor import run
from naive_twin import naive_twin, twin_of_run
from perturbation import influences
from random_networks import KINDS, each_drawn

EVERYTHING = ("input", "dense")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_counts_by_formula_are_the_known_ones(name):
    architecture = ARCHITECTURES[name]
    assert hand_counts.counts(architecture.operations()) == architecture.bare
    assert hand_counts.counts(architecture.operations(), EVERYTHING) == architecture.whole


@pytest.mark.parametrize(("depth", "n_blocks"), [(18, 39), (34, 93)])
def test_published_block_counts(depth, n_blocks):
    """With image and dense part of the usual arrangement; with the image of the published one."""
    usual = hand_counts.resnet_operations(depth)
    published = hand_counts.resnet_operations(depth, always_projects=True)
    assert hand_counts.counts(usual, EVERYTHING)[2] == n_blocks
    assert hand_counts.counts(published, ("input",))[2] == n_blocks


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twin_counts_as_by_hand(name):
    architecture = ARCHITECTURES[name]
    whole = networks.randomized(architecture.make(divisor=16, n_classes=7))
    found = run(whole, architecture.narrow_image())
    operations = architecture.operations(divisor=16, n_classes=7)
    for include in ((), ("input",), ("dense",), EVERYTHING):
        assert twin_of_run(*found, include).counts() == hand_counts.counts(operations, include)


def test_published_weights_fit_mobilenet():
    folder = os.environ.get("CLUSTERABILITY_NETWORKS")
    if not folder:
        pytest.skip("CLUSTERABILITY_NETWORKS names no folder of trained networks")
    path = Path(folder) / "mobilenet_v2-b0353104.pth"
    networks.MobileNetV2().load_state_dict(torch.load(path, weights_only=True), strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_strength_exactly_where_there_is_an_influence(kind):
    for network in each_drawn(3, kind):
        assert kind in network.kinds
        found = influences(network)
        twin = naive_twin(network, network.example(), EVERYTHING)
        np.testing.assert_array_equal(twin.adjacency > 0, found.pattern)
        assert len(twin.layers) == found.n_layers
