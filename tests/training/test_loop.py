import pytest
import torch

from clusterability.training.loop import train_epoch
from clusterability.training.pruning import PruningSchedule
from clusterability.training.samples import Samples

N = 23


class Recorder:
    """Notes what the loop asks of networks; the loss of a sample is its number."""

    n_runs = 2

    def __init__(self):
        self.calls, self.n_ends = [], 0

    def step(self, samples, indices):
        assert isinstance(samples, Samples)
        self.calls.append(indices.tolist())
        return indices.sum(1).float(), (indices < 5).sum(1).float()

    def prune(self, sparsity, _emptied):
        self.calls.append(sparsity)

    def apply_masks(self):
        self.n_ends += 1


def few_samples():
    return Samples(torch.zeros(N, 7), torch.eye(4)[torch.arange(N) % 4], False)


ORDER = torch.stack([torch.arange(N), torch.arange(N).flip(0)])


def test_every_sample_once_in_order_with_a_smaller_last_batch():
    recorder = Recorder()
    scores = train_epoch(recorder, few_samples(), torch.split(ORDER, 10, dim=1))
    assert recorder.n_ends == 1
    assert recorder.calls == [ORDER[:, a : a + 10].tolist() for a in (0, 10, 20)]
    assert scores.loss.tolist() == [11, 11]  # the mean of 0..22
    assert scores.accuracy.tolist() == pytest.approx([5 / 23] * 2)


def test_prunes_before_the_steps_of_the_schedule():
    recorder = Recorder()
    schedule = PruningSchedule(0.2, 0.8, 0, 8, 4)
    for epoch in range(4):
        batches = torch.split(ORDER, 8, dim=1)
        train_epoch(recorder, few_samples(), batches, schedule=schedule, first_step=3 * epoch)
    kinds = ["prune" if isinstance(call, float) else "step" for call in recorder.calls]
    expected = ["prune"] + ["step"] * 4 + ["prune"] + ["step"] * 4 + ["prune"] + ["step"] * 4
    assert kinds == expected
    drawn = [call for call in recorder.calls if isinstance(call, float)]
    assert drawn == pytest.approx([0.2, 0.8 - 0.6 / 8, 0.8])


def test_a_regression_has_no_accuracy():
    samples = Samples(torch.zeros(N, 7), torch.zeros(N, 2), True)
    scores = train_epoch(Recorder(), samples, torch.split(ORDER, 10, dim=1))
    assert scores.of(1) == (11, None)


def test_scores_are_means_of_what_was_seen():
    scores = train_epoch(Recorder(), few_samples(), torch.split(ORDER, 10, dim=1)[:1])
    assert scores.loss.tolist() == [4.5, 17.5]
    assert scores.accuracy.tolist() == [0.5, 0]
