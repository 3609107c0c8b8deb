import pytest
import torch

from clusterability.penalties import L1, L2
from clusterability.training.loop import evaluate, sparsities, total_penalty, train_epoch
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.pruning import PruningSchedule
from clusterability.training.samples import Samples
from training_cases import one_thread, small_mlp  # noqa: F401

N = 23


class Recorder:
    """Notes what the loop asks of networks; the loss of a sample is its number."""

    n_runs = 2

    def __init__(self):
        self.calls = []

    def step(self, samples, indices):
        assert isinstance(samples, Samples)
        self.calls.append(indices.tolist())
        return indices.sum(1).float(), (indices < 5).sum(1).float()

    def prune(self, sparsity):
        self.calls.append(sparsity)


def few_samples(n=N):
    y = torch.arange(n) % 4
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.randn(n, 7, generator=generator), torch.eye(4)[y], False), y


ORDER = torch.stack([torch.arange(N), torch.arange(N).flip(0)])


def test_every_sample_once_in_order_with_a_smaller_last_batch():
    recorder = Recorder()
    scores = train_epoch(recorder, few_samples()[0], ORDER, 10)
    assert recorder.calls == [ORDER[:, a : a + 10].tolist() for a in (0, 10, 20)]
    assert scores.loss.tolist() == [11, 11]  # the mean of 0..22
    assert scores.accuracy.tolist() == pytest.approx([5 / 23] * 2)


def test_prunes_before_the_steps_of_the_schedule():
    recorder = Recorder()
    schedule = PruningSchedule(0.2, 0.8, 0, 8, 4)
    for epoch in range(4):
        train_epoch(recorder, few_samples()[0], ORDER, 8, schedule=schedule, first_step=3 * epoch)
    kinds = ["prune" if isinstance(call, float) else "step" for call in recorder.calls]
    expected = ["prune"] + ["step"] * 4 + ["prune"] + ["step"] * 4 + ["prune"] + ["step"] * 4
    assert kinds == expected
    drawn = [call for call in recorder.calls if isinstance(call, float)]
    assert drawn == pytest.approx([0.2, 0.8 - 0.6 / 8, 0.8])


def test_evaluate_is_without_dropout_and_the_mean_over_all():
    samples, y = few_samples(9000)
    networks = [small_mlp(rate=0.5, seed=s) for s in (1, 2)]
    scores = evaluate(MLPStack(networks, 0.1, samples.x.device), samples)
    for run, network in enumerate(networks):
        with torch.no_grad():
            outputs = network.eval()(samples.x)
        loss = torch.nn.functional.cross_entropy(outputs.double(), y)
        assert scores.loss[run].item() == pytest.approx(loss.item(), rel=1e-6)
        assert scores.accuracy[run].item() == (outputs.argmax(1) == y).double().mean().item()


def test_sparsities():
    stack = MLPStack([small_mlp(seed=s) for s in (1, 2)], 0.1, torch.device("cpu"))
    stack.kernels[0][1, 0] = 0
    assert sparsities(stack) == [0, 7 / (7 * 6 + 6 * 5 + 5 * 4)]


def test_penalties_add_up():
    stack = MLPStack([small_mlp(seed=s) for s in (1, 2)], 0.1, torch.device("cpu"))
    first, second, _ = stack.kernels
    expected = 0.5 * first.abs().sum((1, 2)) + 2 * second.square().sum((1, 2))
    penalties = [L1({"0.weight": 0.5}), L2({"2.weight": 2.0})]
    assert total_penalty(stack, penalties) == pytest.approx(expected.tolist())
    assert total_penalty(stack, []) == [0, 0]
