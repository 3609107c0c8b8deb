from dataclasses import fields

import pytest
import torch

from clusterability.datasets import load_dataset
from clusterability.penalties import L1, L2
from clusterability.records import choice_of
from clusterability.training import TrainingSpec
from clusterability.training.drawing import draw_networks
from clusterability.training.penalty import penalties_of
from clusterability.training.randomness import Randomness
from clusterability.training.samples import place

WEIGHTS = [field.name for field in fields(TrainingSpec) if choice_of(field).metavar == "W"]


def of(**fields):
    return penalties_of(TrainingSpec("small-mlp", "digits", **fields), ("a", "b", "c"))


def test_none_where_the_spec_asks_for_none():
    assert of() == []


def test_l1_and_l2_are_on_all_kernels():
    assert of(l1=0.1) == [L1({"a": 0.1, "b": 0.1, "c": 0.1})]
    assert of(l1=0.1, l2=0.2) == [
        L1({"a": 0.1, "b": 0.1, "c": 0.1}),
        L2({"a": 0.2, "b": 0.2, "c": 0.2}),
    ]


def test_mixed_l2_is_l1_on_the_first_kernel_and_l2_on_the_others():
    assert of(l2=0.2, mixed_l2=True) == [L1({"a": 0.2}), L2({"b": 0.2, "c": 0.2})]
    assert of(l1=0.5, l2=0.25, mixed_l2=True) == [
        L1({"a": 0.75, "b": 0.5, "c": 0.5}),
        L2({"b": 0.25, "c": 0.25}),
    ]


def test_the_eigenvalue_penalty_is_on_all_kernels():
    (penalty,) = of(eigenvalue_penalty=0.1, eigenvalues=(2, 5))
    assert (penalty.kernel_names, penalty.weight) == (("a", "b", "c"), 0.1)
    assert penalty.mean.eigenvalues == (2, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHTS)
def test_every_weight_of_a_spec_adds_a_penalty(name):
    spec = TrainingSpec("small-mlp", "digits", **{name: 0.5})
    networks = draw_networks(
        spec, place(load_dataset("digits"), torch.device("cpu"), ""), [Randomness(0)]
    )
    penalties = penalties_of(spec, networks.kernel_names, networks.clusters)
    assert sum(float(penalty.value(networks.parameters)) for penalty in penalties) > 0
    gradients = {n: torch.zeros_like(kernel) for n, kernel in networks.parameters.items()}
    for penalty in penalties:
        penalty.add_gradient(networks.parameters, gradients)
    assert any(bool(gradient.any()) for gradient in gradients.values())


def test_all_weights_are_known():
    assert {"l1", "l2", "eigenvalue_penalty", "group_lasso", "partition_penalty"} <= set(WEIGHTS)
