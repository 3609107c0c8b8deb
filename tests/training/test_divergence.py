from dataclasses import replace

import pytest
import torch

from clusterability.training.divergence import find_diverged
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.record import EpochScores
from training_cases import small_mlp

ROW = EpochScores("unpruned", 1, 1.0, None, None, None, 0.0, 0.0, 1.5)


def stack_of_three():
    return MLPStack([small_mlp(seed=s) for s in range(3)], 0.1, torch.device("cpu"))


def test_finite_runs_go_on():
    assert find_diverged(stack_of_three(), [ROW] * 3) == []


@pytest.mark.parametrize("field", ["train_loss", "test_loss", "penalty"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_show_it(field, value):
    assert find_diverged(stack_of_three(), [ROW, ROW, replace(ROW, **{field: value})]) == [2]


@pytest.mark.parametrize("name", ["0.weight", "4.weight", "4.bias"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_parameters_show_it_before_the_next_loss(name, value):
    stack = stack_of_three()
    stack.parameters[name][1].view(-1)[-1] = value
    assert find_diverged(stack, [ROW] * 3) == [1]
