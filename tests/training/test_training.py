import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from clusterability import measure, measuring
from clusterability.datasets import Dataset, Split
from clusterability.errors import InputError
from clusterability.penalties import Eigenvalues
from clusterability.training import (
    DivergedError,
    architectures,
    build,
    running,
    train,
    train_many,
)
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.randomness import Randomness, Use
from training_cases import (
    PlainTraining,
    StoppedError,
    change_checkpoint,
    cubic,
    few_digits,
    make_infinite,
    small_spec,
    stop_after,
    train_with_hook,
    weights_of,
)

pytestmark = pytest.mark.usefixtures("no_figures")


def trained(out, spec, **fields):
    return train(spec, **{"data": few_digits(), "out": out, "threads": 1} | fields)


def finite(path):
    return all(value.isfinite().all() for value in load_file(path).values())


def refused(out, spec, **fields):
    with pytest.raises(
        DivergedError, match=r"became NaN or infinite .* lower the learning"
    ) as error:
        trained(out, spec, **fields)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_begins_with_the_networks_of_its_seed(tmp_path):
    run = trained(tmp_path, small_spec(seed=3, epochs=1, pruning_epochs=0, learning_rate=1e-30))
    expected = build(
        "small-mlp", (1, 8, 8), 10, generator=Randomness(3).numpy(Use.INITIALIZATION)
    ).state_dict()
    found = run.network("unpruned").state_dict()
    assert all(torch.allclose(found[name], expected[name], atol=1e-20) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [None, 0.2])
def test_a_run_is_the_plain_loop(tmp_path, rate):
    """The whole of it: order, dropout, the schedule of pruning, and Adam begun afresh for it."""
    fields = {"dropout": True, "dropout_rate": rate, "l1": 1e-4, "l2": 2e-4}
    spec = small_spec(seed=4, **fields, batch_size=40, pruning_interval=3)
    data, randomness = few_digits(), Randomness(4)
    x, y = torch.from_numpy(data.train.x) / 255, torch.from_numpy(data.train.y)
    initial = randomness.numpy(Use.INITIALIZATION)
    network = build("small-mlp", (1, 8, 8), 10, dropout=True, generator=initial)
    for module in network:
        if isinstance(module, nn.Dropout) and rate is not None:
            module.p = rate
    run = trained(tmp_path, spec)
    plain = PlainTraining(network, [(1e-4, 2e-4)] * 4, 0.001)
    for phase, name in enumerate(spec.phases):
        plain.start_phase()
        step = 0
        for epoch in range(2):
            plain.generator = randomness.torch(Use.DROPOUT, phase, epoch)
            order = torch.from_numpy(randomness.numpy(Use.ORDER, phase, epoch).permutation(150))
            loss = 0.0
            for chosen in torch.split(order, 40):  # the last has 30
                if phase == 1 and step % 3 == 0:
                    plain.prune(cubic(step, 0.5, 0.9, 0, 6))  # of steps 0 to 7
                loss += plain.step(x[chosen], y[chosen])
                step += 1
            row = run.curves[2 * phase + epoch]
            assert row.train_loss == pytest.approx(loss / 150, rel=1e-5)
        found = run.network(name).state_dict()
        for key, value in network.state_dict().items():
            assert torch.allclose(found[key], value, rtol=0, atol=2e-5), (name, key)


@pytest.mark.parametrize("network", ["small-mlp", "small-cnn"])
def test_huge_learning_rate(tmp_path, network):
    spec = small_spec(network=network, learning_rate=1e15, batch_size=40)
    message = refused(tmp_path, spec, data=few_digits(80, 10))
    assert f"the loss of {spec.name} became NaN or infinite (unpruned, epoch 1)" in message
    folder = tmp_path / spec.name
    assert finite(folder / "last-good.safetensors")
    assert not (folder / "unpruned.safetensors").exists()
    assert not (folder / "curves.csv").exists()
    assert not (folder / "checkpoint.safetensors").exists()
    assert refused(tmp_path, spec, data=few_digits(80, 10)) == message  # and it is not tried again


def test_infinite_data(tmp_path):
    x = np.ones((20, 4), np.float32)
    x[7, 1] = np.inf
    data = Dataset("inf", Split(x, np.arange(20) % 4), None, 4)
    refused(tmp_path, small_spec(), data=data)
    assert finite(tmp_path / small_spec().name / "last-good.safetensors")


def test_the_last_step_may_be_the_one_that_fails(tmp_path):
    # One batch: the loss while training is that of the first weights.
    digits = few_digits()
    data = Dataset("few", digits.train, None, 10)
    spec = small_spec(epochs=1, pruning_epochs=0, batch_size=150, learning_rate=1e9)
    refused(tmp_path, spec, data=data)
    assert finite(tmp_path / spec.name / "last-good.safetensors")


def diverging(monkeypatch, seed_index, at_step):
    """One network of what is trained gets a NaN, at some step."""
    step, calls = MLPStack.step, []

    def poisoned(self, samples, indices):
        calls.append(None)
        if len(calls) == at_step:
            self.kernels[1][seed_index, 0, 0] = torch.nan
        return step(self, samples, indices)

    monkeypatch.setattr(MLPStack, "step", poisoned)


@pytest.mark.slow
@pytest.mark.parametrize("at_step", [2, 4, 7])
def test_one_of_a_stack_diverges_and_the_others_go_on(tmp_path, monkeypatch, at_step):
    # Two steps an epoch: in the first epoch, in the second, and while pruning.
    spec, data = small_spec(dropout=True), few_digits()
    expected = train_many(spec, 3, stacked=True, data=data, out=tmp_path / "all", device="cpu")
    diverging(monkeypatch, 1, at_step)
    with pytest.raises(DivergedError, match="seed1-") as error:
        train_many(spec, 3, stacked=True, data=data, out=tmp_path, device="cpu")
    assert "more" not in str(error.value)
    for run in (expected[0], expected[2]):
        found = tmp_path / run.spec.name
        for name, content in zip(("unpruned", "pruned"), weights_of(run), strict=True):
            assert (found / f"{name}.safetensors").read_bytes() == content
        assert not (found / "last-good.safetensors").exists()
    folder = tmp_path / expected[1].spec.name
    assert finite(folder / "last-good.safetensors")
    assert (folder / "unpruned.safetensors").exists() == (at_step == 7)
    curves = folder / "curves.csv"
    n_rows = len(curves.read_text().splitlines()) - 1 if curves.exists() else 0
    assert n_rows == {2: 0, 4: 1, 7: 3}[at_step]
    assert not (folder / "pruned.safetensors").exists()


def without_first(tensors):
    return dict(list(tensors.items())[1:])


def of_one_number(tensors):
    return {name: value.flatten()[:1].clone() for name, value in tensors.items()}


def doubled(tensors):
    return {name: value.double() for name, value in tensors.items()}


def with_another(tensors):
    return {**tensors, "network.other": torch.ones(2)}


@pytest.mark.slow
@pytest.mark.parametrize("network", ["small-mlp", "small-cnn"])
def test_a_checkpoint_with_other_tensors_is_refused(tmp_path, network):
    spec = small_spec(network=network, epochs=1, batch_size=50)
    path = stop_after(tmp_path, spec, 2)  # while pruning, so that it has masks
    whole = path.read_bytes()
    for change in (without_first, of_one_number, doubled, with_another):
        path.write_bytes(whole)
        change_checkpoint(path, change)
        with pytest.raises(InputError, match=r"is damaged .* remove it to train") as error:
            trained(tmp_path, spec)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_other_runs_go_on_and_numbers_do_not_depend_on_workers(tmp_path, monkeypatch):
    # These runs are too short for processes of their own, which are what is tested.
    monkeypatch.setattr(running, "is_worth_processes", lambda *_: True)
    spec = small_spec(dropout=True, seed=3)
    found = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        # Also in another process this one goes on with what cannot go on.
        change_checkpoint(stop_after(out, spec, 1), make_infinite)
        with pytest.raises(DivergedError, match="seed3-") as caught:
            train_many(spec, 3, data=few_digits(), out=out, workers=workers, threads=2)
        runs = caught.value.runs
        assert [run.machine["threads"] for run in runs[1:]] == [2, 2]
        assert [run.spec.seed for run in runs] == [3, 4, 5]
        assert [bool(run.diverged) for run in runs] == [True, False, False]
        found.append([weights_of(run) for run in runs[1:]])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]
    alone = trained(tmp_path, dataclasses.replace(spec, seed=4), threads=2)
    assert weights_of(alone) == found[0][0]


def test_several_that_diverge_are_counted(tmp_path):
    with pytest.raises(DivergedError, match=r"seed0-\w+ \(and of 2 more\) became NaN"):
        train_many(small_spec(learning_rate=1e30), 3, data=few_digits(), out=tmp_path, workers=1)


def measured_as(monkeypatch, ncuts):
    """Let each measurement find the next of these n-cuts."""
    remaining, networks = iter(ncuts), []

    def found(network, **options):
        assert (options["n_shuffles"], options["conventions"]) == (0, "published")
        networks.append({n: v.clone() for n, v in network.state_dict().items()})
        return SimpleNamespace(ncut=next(remaining))

    monkeypatch.setattr(measuring, "measure", found)
    return networks


@pytest.mark.slow
def test_begins_again_while_the_ncut_is_near_zero(tmp_path, monkeypatch):
    networks = measured_as(monkeypatch, [0.5, 1.5, 0.25, 1.0, 1.0])
    run = trained(tmp_path, small_spec(retrain_below=1.0, seed=2))
    assert [(a.phase, a.ncut) for a in run.attempts] == [("unpruned", 0.5), ("pruned", 0.25)]
    assert len(run.curves) == 4
    found = run.network("pruned").state_dict()
    assert all(torch.equal(found[name], networks[-1][name]) for name in found)
    # The attempts are other networks, and the last begins with numbers of its own.
    assert not torch.equal(networks[0]["fc1.weight"], networks[1]["fc1.weight"])
    spec = small_spec(retrain_below=1e-9, seed=2, learning_rate=1e-30, epochs=1, pruning_epochs=0)
    measured_as(monkeypatch, [0.0, 1.0])
    expected = build("small-mlp", (1, 8, 8), 10, generator=Randomness(2, 1).numpy(Use(0)))
    again = trained(tmp_path, spec).network("unpruned")
    assert torch.allclose(again.fc2.weight, expected.fc2.weight, atol=1e-20)


@pytest.mark.slow
def test_begins_again_at_most_ten_times(tmp_path, monkeypatch):
    networks = measured_as(monkeypatch, [0.1] * 10)
    run = trained(tmp_path, small_spec(retrain_below=1.0, epochs=1))
    assert [a.ncut for a in run.attempts] == [0.1] * 10
    assert len(networks) == 10
    assert run.phases.keys() == {"unpruned", "pruned"}


@pytest.mark.slow
def test_attempts_survive_a_stop(tmp_path, monkeypatch):
    spec = small_spec(retrain_below=1.0)
    measured_as(monkeypatch, [0.1, 0.2, 1.0, 1.0])
    expected = trained(tmp_path / "expected", spec)
    measured_as(monkeypatch, [0.1, 0.2, 1.0, 1.0])
    n_trained = 0

    def stop_sometimes(_training):
        nonlocal n_trained
        n_trained += 1
        if n_trained in (1, 3, 6):
            raise StoppedError

    for _ in range(3):
        with pytest.raises(StoppedError):
            train_with_hook(tmp_path, spec, stop_sometimes)
    run = trained(tmp_path, spec)
    assert run.attempts == expected.attempts
    assert weights_of(run) == weights_of(expected)


@pytest.mark.slow
def test_volumes_far_below_the_published_offset_count_as_an_n_cut_near_zero(tmp_path, monkeypatch):
    """Without the offset the scale of all weights would not change the n-cut."""

    def fade_first(network, generator):
        glorot_uniform_(network, generator)
        if not drawn:
            for parameter in network.parameters():
                parameter.data *= 1e-14
        drawn.append(network)

    glorot_uniform_, drawn = architectures.glorot_uniform_, []
    monkeypatch.setattr(architectures, "glorot_uniform_", fade_first)
    kept = {"learning_rate": 1e-30, "epochs": 1, "pruning_epochs": 0}
    run = trained(tmp_path, small_spec(retrain_below=1.0, **kept))
    (attempt,) = run.attempts
    assert attempt.ncut < 0.01
    assert measure(drawn[0], n_shuffles=0).ncut > 9


@pytest.mark.slow
def test_really_measured(tmp_path):
    run = trained(tmp_path, small_spec(retrain_below=1e-6, epochs=1, pruning_epochs=0))
    assert run.attempts == ()
    assert torch.get_num_threads() == 1


def test_the_hook_sees_each_epoch_when_it_is_saved(tmp_path):
    spec, seen = small_spec(), []

    def look(training):
        with safe_open(tmp_path / spec.name / "checkpoint.safetensors", "pt") as file:
            saved = json.loads(file.metadata()["checkpoint"])
            parameter = file.get_tensor("parameter")
        assert torch.equal(parameter, training.networks.state()["parameter"])
        seen.append((saved["phase"], saved["epoch"]))

    train_with_hook(tmp_path, spec, look)
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]


@pytest.mark.slow
def test_the_eigenvalue_penalty_lowers_the_eigenvalues(tmp_path):
    """While it is pruned too; the penalty that is recorded is the weighted mean."""
    means = []
    for weight in (1e-9, 10.0):
        spec = small_spec(eigenvalue_penalty=weight, epochs=5, pruning_epochs=5)
        run = trained(tmp_path, spec)
        kernels = {n: v[None] for n, v in run.network("pruned").state_dict().items() if v.ndim == 2}
        means.append(Eigenvalues(list(kernels), 1.0, (2, 3, 4)).value(kernels).item())
        assert run.phases["pruned"].penalty == pytest.approx(weight * means[-1], rel=0.01)
    assert means[1] < 0.95 * means[0]
