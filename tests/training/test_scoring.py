import pytest
import torch

from clusterability.penalties import L1, L2
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.record import EpochScores, PhaseScores
from clusterability.training.samples import Samples
from clusterability.training.scoring import (
    Scores,
    evaluate,
    score_epoch,
    score_phase,
    sparsities,
    total_penalty,
)
from training_cases import small_mlp


def few_samples(n):
    y = torch.arange(n) % 4
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.randn(n, 7, generator=generator), torch.eye(4)[y], False), y


def stack_of_two(rate=0.0):
    return MLPStack([small_mlp(rate=rate, seed=s) for s in (1, 2)], 0.1, torch.device("cpu"))


def test_evaluate_is_without_dropout_and_the_mean_over_all():
    samples, y = few_samples(9000)
    networks = [small_mlp(rate=0.5, seed=s) for s in (1, 2)]
    scores = evaluate(stack_of_two(rate=0.5), samples)
    for run, network in enumerate(networks):
        with torch.no_grad():
            outputs = network.eval()(samples.x)
        loss = torch.nn.functional.cross_entropy(outputs.double(), y)
        assert scores.loss[run].item() == pytest.approx(loss.item(), rel=1e-6)
        assert scores.accuracy[run].item() == (outputs.argmax(1) == y).double().mean().item()


def test_sparsities():
    stack = stack_of_two()
    stack.kernels[0][1, 0] = 0
    assert sparsities(stack) == [0, 7 / (7 * 6 + 6 * 5 + 5 * 4)]


def test_penalties_add_up():
    stack = stack_of_two()
    first, second, _ = stack.kernels
    expected = 0.5 * first.abs().sum((1, 2)) + 2 * second.square().sum((1, 2))
    penalties = [L1({"0.weight": 0.5}), L2({"2.weight": 2.0})]
    assert total_penalty(stack, penalties) == pytest.approx(expected.tolist())
    assert total_penalty(stack, []) == [0, 0]


def test_an_epoch_is_a_row_for_each_network():
    stack = stack_of_two()
    stack.parameters["0.weight"][1] = 0
    train = Scores(torch.tensor([1.0, 2.0]), torch.tensor([0.25, 0.5]))
    test = Scores(torch.tensor([3.0, 4.0]), torch.tensor([0.75, 1.0]))
    penalties = [L1({"0.weight": 1.0})]
    place = {"phase": "pruned", "epoch": 3, "seconds": 1.5}
    first, second = score_epoch(stack, penalties, train, test, **place)
    total = pytest.approx(stack.parameters["0.weight"][0].abs().sum().item())
    assert first == EpochScores("pruned", 3, 1.0, 0.25, 3.0, 0.75, total, 0.0, 1.5)
    assert second == EpochScores("pruned", 3, 2.0, 0.5, 4.0, 1.0, 0.0, 42 / 92, 1.5)
    untested = score_epoch(stack, [], Scores(train.loss, None), None, **place)[0]
    assert untested == EpochScores("pruned", 3, 1.0, None, None, None, 0.0, 0.0, 1.5)


def test_a_phase_has_the_scores_of_its_last_epoch_and_of_the_final_weights():
    last = EpochScores("pruned", 3, 1.0, 0.25, 3.0, 0.75, 5.0, 0.5, 1.5)
    assert score_phase(last, (0.125, 0.875)) == PhaseScores(
        final_train_loss=0.125,
        final_train_accuracy=0.875,
        train_loss=1.0,
        train_accuracy=0.25,
        test_loss=3.0,
        test_accuracy=0.75,
        penalty=5.0,
        sparsity=0.5,
    )
