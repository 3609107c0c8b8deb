import dataclasses
import random

import numpy as np
import pytest
import torch

from clusterability.datasets import Dataset, Split, dataset_from_arrays, load_dataset
from clusterability.errors import InputError
from clusterability.training import NETWORKS, TrainingSpec, train, train_many, training
from clusterability.training.randomness import Randomness, Use
from clusterability.training.running import DivergedError
from training_cases import (
    change_checkpoint,
    few_digits,
    make_infinite,
    small_spec,
    stop_after,
    weights_of,
)

pytestmark = pytest.mark.usefixtures("no_figures")


def trained(out, spec, **fields):
    return train(spec, **{"data": few_digits(), "out": out, "threads": 1} | fields)


def flushes_denormals():
    return (torch.full((3,), 1e-40) * 1 == 0).all().item()


@pytest.mark.slow
def test_learns_digits_and_keeps_nearly_all_of_it_when_pruned(tmp_path):
    spec = TrainingSpec("small-mlp", "digits", epochs=15, pruning_epochs=12, batch_size=32)
    run = train(spec, out=tmp_path, threads=1)
    assert run.phases["unpruned"].test_accuracy > 0.9
    assert run.phases["pruned"].test_accuracy > 0.75
    assert run.phases["pruned"].sparsity == pytest.approx(0.9, abs=1e-3)
    expected = [("unpruned", i) for i in range(1, 16)] + [("pruned", i) for i in range(1, 13)]
    assert [(row.phase, row.epoch) for row in run.curves] == expected
    losses = [row.train_loss for row in run.curves]
    assert losses[14] < losses[7] < losses[0]
    shares = [row.sparsity for row in run.curves]
    assert shares[:15] == [0] * 15
    assert 0.5 < shares[15] < shares[18] < shares[26]


def test_layers_of_the_pruned_network_are_exact_to_one_weight(tmp_path):
    run = trained(tmp_path, small_spec(final_sparsity=0.83, initial_sparsity=0.2))
    for name, value in run.network("pruned").state_dict().items():
        n_zeros = int((value == 0).sum())
        if name.endswith("weight"):
            # Beside what is pruned there are none: Glorot's numbers are not 0.
            assert n_zeros == round(0.83 * value.numel())


def test_own_arrays_without_test_part(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 5)), np.arange(90) % 3
    spec = TrainingSpec("small-mlp", "mine", epochs=1, pruning_epochs=1)
    run = trained(tmp_path, spec, data=dataset_from_arrays(x, y))
    assert run.folder.name.startswith("small-mlp-mine-")
    assert (run.shape, run.n_outputs) == ((5,), 3)
    assert [row.test_loss for row in run.curves] == [None, None]
    assert run.phases["pruned"].test_accuracy is None
    assert run.phases["pruned"].final_train_loss > 0


@pytest.mark.slow
def test_regression(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    data = dataset_from_arrays(x, np.stack([x[:, 0] * x[:, 1], x.sum(1)], 1), x[:50], x[:50])
    spec = TrainingSpec("mlp-regression", "mine", epochs=12, pruning_epochs=0, batch_size=20)
    run = trained(tmp_path, spec, data=data)
    assert run.curves[-1].train_loss < 0.3 * run.curves[0].train_loss
    assert run.phases["unpruned"].test_accuracy is None
    with torch.no_grad():
        found = run.network("unpruned")(torch.from_numpy(data.train.x))
    loss = (found - torch.from_numpy(data.train.y)).square().mean().item()
    assert run.phases["unpruned"].final_train_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_small_cnn(tmp_path):
    spec = TrainingSpec("small-cnn", "few", epochs=1, pruning_epochs=1, dropout=True, augment=True)
    run = trained(tmp_path, spec, data=few_digits(66, 10))
    again = trained(tmp_path / "again", spec, data=few_digits(66, 10))
    assert weights_of(run) == weights_of(again)
    assert run.phases["pruned"].sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("reshuffled", [True, False])
def test_order_of_samples(tmp_path, monkeypatch, reshuffled):
    orders = []

    def noting(networks, samples, batches, **options):
        batches = list(batches)
        orders.append(torch.cat(batches, dim=1))
        return train_epoch(networks, samples, batches, **options)

    train_epoch = training.train_epoch
    monkeypatch.setattr(training, "train_epoch", noting)
    data = dataclasses.replace(few_digits(), reshuffled=reshuffled)
    trained(tmp_path, small_spec(seed=5), data=data)
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for order, place in zip(orders, places, strict=True):
        drawn = Randomness(5).numpy(Use.ORDER, *place).permutation(150)
        assert order.tolist() == [drawn.tolist() if reshuffled else list(range(150))]
    assert len({tuple(order[0].tolist()) for order in orders}) == (4 if reshuffled else 1)


def test_names_its_own_data_set(tmp_path):
    spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0, batch_size=500)
    by_name = train(spec, out=tmp_path / "a", threads=1)
    given = train(spec, data=load_dataset("digits"), out=tmp_path / "b", threads=1)
    assert weights_of(by_name) == weights_of(given)
    assert by_name.data_digest == given.data_digest


def test_finished_runs_are_not_trained_again(tmp_path, monkeypatch):
    spec = small_spec()
    run = trained(tmp_path, spec)
    many = train_many(spec, 2, data=few_digits(), out=tmp_path, workers=1)

    def fail(*_arguments, **_options):
        raise AssertionError("it trains")

    monkeypatch.setattr(training, "train_epoch", fail)
    (run.folder / "checkpoint.safetensors").write_bytes(b"left by a kill at the very end")
    assert trained(tmp_path, spec) == run
    assert not (run.folder / "checkpoint.safetensors").exists()
    assert train_many(spec, 2, data=few_digits(), out=tmp_path, workers=2) == many
    with pytest.raises(AssertionError, match="it trains"):
        trained(tmp_path, small_spec(seed=9))


@pytest.mark.slow
@pytest.mark.parametrize("stack", [(), (0, 1, 2)])
def test_goes_on_after_an_error_as_if_there_had_been_none(tmp_path, monkeypatch, stack):
    spec = small_spec(epochs=4, pruning_epochs=4, dropout=True, l1=1e-4, stack=stack)
    expected = trained(tmp_path / "expected", spec)
    train_epoch, rng = training.train_epoch, random.Random(0)

    def failing(*arguments, **options):
        if rng.random() < 0.5:
            train_epoch(*arguments, **options)  # so that the state is not that of the epoch before
            raise RuntimeError("at some epoch")
        return train_epoch(*arguments, **options)

    monkeypatch.setattr(training, "train_epoch", failing)
    run, n_errors = None, 0
    while run is None:
        try:
            run = trained(tmp_path, spec)
        except RuntimeError:
            n_errors += 1
    assert n_errors > 2
    assert weights_of(run) == weights_of(expected)
    assert run.phases == expected.phases

    def untimed(curves):
        return [dataclasses.replace(row, seconds=0) for row in curves]

    assert untimed(run.curves) == untimed(expected.curves)


def test_a_checkpoint_keeps_the_threads_it_was_begun_with(tmp_path):
    stop_after(tmp_path, small_spec(), 1)
    run = trained(tmp_path, small_spec(), threads=2)
    assert run.machine["threads"] == 1
    assert weights_of(run) == weights_of(trained(tmp_path / "other", small_spec(), threads=1))


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    path = stop_after(tmp_path, small_spec(), 2)
    with pytest.raises(InputError, match="belongs to other data"):
        trained(tmp_path, small_spec(), data=few_digits(140))
    path.write_bytes(b"half")
    with pytest.raises(InputError, match=r"is damaged .* remove it to train"):
        trained(tmp_path, small_spec())


@pytest.mark.slow
def test_a_stack_is_near_each_alone_and_has_names_of_its_own(tmp_path):
    spec = small_spec(dropout=True)
    data = few_digits()
    stacked = train_many(spec, 3, stacked=True, data=data, out=tmp_path, device="cpu")
    alone = train_many(spec, 3, data=data, out=tmp_path, workers=1)
    for a, b in zip(stacked, alone, strict=True):
        assert a.spec.stack == (0, 1, 2)
        assert a.folder != b.folder
        first, second = (run.network("unpruned").state_dict() for run in (a, b))
        assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)
    # One of a stack by itself: found, and in an empty folder the whole stack is trained.
    assert trained(tmp_path, stacked[1].spec) == stacked[1]
    again = trained(tmp_path / "again", stacked[1].spec)
    assert again.spec.seed == 1
    assert len(list((tmp_path / "again").iterdir())) == 3


@pytest.mark.slow
def test_torchs_settings_are_restored(tmp_path):
    for threads, flushed in ((1, False), (2, False), (1, True)):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        try:
            trained(tmp_path, small_spec(seed=threads + 5 * flushed), threads=3 - threads)
            assert torch.get_num_threads() == threads
            assert flushes_denormals() == flushed
            with pytest.raises(DivergedError):
                trained(tmp_path, small_spec(dataset="inf"), data=infinite())
            assert torch.get_num_threads() == threads
            assert flushes_denormals() == flushed
        finally:
            torch.set_flush_denormal(False)


def infinite():
    x = np.ones((20, 4), np.float32)
    x[7, 1] = np.inf
    return Dataset("inf", Split(x, np.arange(20) % 4), None, 4)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["small-mlp", "small-cnn"])
def test_torchs_modes_do_not_matter(tmp_path, network):
    spec = small_spec(network=network, dropout=True, epochs=1, pruning_epochs=1, batch_size=50)
    expected = weights_of(trained(tmp_path / "plain", spec))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert weights_of(trained(tmp_path / mode.__name__, spec)) == expected
            assert not torch.is_grad_enabled()
    torch.set_default_dtype(torch.double)
    try:
        assert weights_of(trained(tmp_path / "double", spec)) == expected
        assert torch.get_default_dtype() == torch.double
    finally:
        torch.set_default_dtype(torch.float)


IMAGES = dataset_from_arrays(np.arange(66 * 64).reshape(66, 1, 8, 8) % 256, np.arange(66) % 3)
TABULAR = dataset_from_arrays(np.ones((6, 3)), np.arange(6) % 3)
MISFITS = [
    (TrainingSpec("mlp-regression", "x"), IMAGES, "which is a classification; use one of mlp, "),
    (
        TrainingSpec("mlp", "x"),
        dataset_from_arrays(np.ones((6, 3)), np.ones(6)),
        "which is a regression; use one of mlp-regression",
    ),
    (TrainingSpec("small-cnn", "x"), TABULAR, "train an MLP on it"),
    (TrainingSpec("vgg", "x"), IMAGES, "at least 32 pixels"),
    (TrainingSpec("small-cnn", "x", augment=True), TABULAR, "has no images"),
    (TrainingSpec("mlp", "x"), (np.ones((6, 3)), np.arange(6) % 3), r"dataset_from_arrays\(x, y\)"),
    (TrainingSpec("mlp", "no-such-set"), None, "there is no data set 'no-such-set'"),
    (TrainingSpec("mlp", "digit"), None, "did you mean 'digits'"),
]


@pytest.mark.parametrize(("spec", "data", "words"), MISFITS)
def test_network_and_data_that_do_not_fit(tmp_path, spec, data, words):
    with pytest.raises(InputError, match=words) as error:
        trained(tmp_path, spec, data=data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_batch_norm_needs_two_samples(tmp_path, batch_size):
    data = dataset_from_arrays(np.zeros((17, 3, 32, 32), np.uint8), np.arange(17) % 2)
    spec = TrainingSpec("vgg", "x", batch_size=batch_size, epochs=1, pruning_epochs=0)
    with pytest.raises(InputError, match="batch norm needs two; give another"):
        trained(tmp_path, spec, data=data)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_runs": 0}, "runs is 0, expected a whole number of at least 1"),
        ({"workers": 0}, "workers is 0"),
        ({"stacked": True, "n_runs": 1}, "several runs of an MLP"),
        ({"stacked": True, "spec": TrainingSpec("small-cnn", "x")}, "several runs of an MLP"),
        ({"stacked": True, "spec": small_spec(retrain_below=1)}, "without retrain_below"),
        ({"spec": small_spec(stack=(0, 1))}, "has a stack already"),
        ({"device": "gpu"}, "device is 'gpu'"),
    ],
)
def test_impossible_requests(tmp_path, fields, words):
    with pytest.raises(InputError, match=words):
        train_many(**{"spec": small_spec(), "n_runs": 2, "out": tmp_path} | fields)
    assert list(tmp_path.iterdir()) == []


def test_every_network_can_be_named():
    assert all(TrainingSpec(name, "mnist").network == name for name in NETWORKS)


@pytest.mark.slow
def test_several_runs_with_threads_of_their_own(tmp_path):
    runs = train_many(small_spec(), 2, data=few_digits(), out=tmp_path, threads=2, workers=1)
    assert [run.machine["threads"] for run in runs] == [2, 2]


@pytest.mark.slow
def test_those_that_did_not_diverge_come_with_the_error(tmp_path):
    change_checkpoint(stop_after(tmp_path, small_spec(seed=1), 1), make_infinite)
    with pytest.raises(DivergedError, match="seed1-") as caught:
        train_many(small_spec(), 3, data=few_digits(), out=tmp_path, workers=1)
    assert [bool(run.diverged) for run in caught.value.runs] == [False, True, False]
    assert [len(run.phases) for run in caught.value.runs] == [2, 0, 2]
