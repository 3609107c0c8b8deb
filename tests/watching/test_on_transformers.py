"""A training by the Trainer of transformers with a monitor: what is logged, and nothing else."""

import sys
import warnings

import pytest
import torch
from torch import nn

from clusterability import ClusterabilityMonitor, InputError
from clusterability.watching.metrics import metrics

QUICK = {"n_clusters": 2, "n_shuffles": 3, "n_init": 1, "workers": 1}


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"needs the package transformers .*\[transformers\]"):
        ClusterabilityMonitor(nn.Linear(2, 2), 1).transformers_callback(None)


@pytest.fixture
def transformers(monkeypatch):
    pytest.importorskip("accelerate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports and advice
        package = pytest.importorskip("transformers")
        # It takes the folder tests/datasets for the package datasets.
        monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)
        yield package


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, x):
        y = self.net(x)
        return {"loss": y.square().mean(), "y": y}


def trainer_of(transformers, model, folder, **options):
    """A training of 8 batches of 4, which logs the loss after each second one."""
    arguments = transformers.TrainingArguments(
        str(folder),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        logging_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        seed=0,
        **options,
    )
    torch.manual_seed(1)
    samples = [{"x": x} for x in torch.randn(16, 4)]
    return transformers.Trainer(model, arguments, train_dataset=samples)


def logs(trainer, name):
    return [(row["step"], row[name]) for row in trainer.state.log_history if name in row]


@pytest.mark.slow
def test_what_is_logged(transformers, tmp_path):
    torch.manual_seed(0)
    model = Network()
    trainer = trainer_of(transformers, model, tmp_path)
    inputs = {"x": torch.zeros(1, 4)}
    monitor = ClusterabilityMonitor(model, 2, example_inputs=inputs, **QUICK)
    seen = []

    class Logger(transformers.TrainerCallback):
        def on_log(self, *_, logs, **_given):  # as that of TensorBoard
            seen.append(dict(logs))

    trainer.add_callback(Logger())
    trainer.add_callback(monitor.transformers_callback(trainer))
    trainer.train()
    assert monitor.steps == (0, 2, 4, 6, 8)
    for name in ("ncut", "effect", "z_score", "p_value"):
        name = f"clusterability/{name}"
        expected = [
            (step, metrics(result)[name])
            for step, result in zip(monitor.steps, monitor.results, strict=True)
        ]
        assert logs(trainer, name) == expected
        assert [row[name] for row in seen if name in row] == [value for _, value in expected]


@pytest.mark.slow
def test_the_training_is_the_same(transformers, tmp_path):
    trainers = []
    for is_watched in (False, True):
        torch.manual_seed(0)
        model = Network()
        trainer = trainer_of(transformers, model, tmp_path)
        if is_watched:
            monitor = ClusterabilityMonitor(model.net, 2, **QUICK)
            trainer.add_callback(monitor.transformers_callback(trainer))
        trainer.train()
        trainers.append(trainer)
    plain, watched = trainers
    assert logs(watched, "loss") == logs(plain, "loss")
    assert [step for step, _ in logs(plain, "loss")] == [2, 4, 6, 8]
    pairs = zip(*(each.model.state_dict().values() for each in trainers), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_other_processes_do_not_measure(transformers):
    monitor = ClusterabilityMonitor(nn.Linear(2, 2), 1)
    state = transformers.TrainerState(is_world_process_zero=False)
    callback = monitor.transformers_callback(None)
    callback.on_step_end(None, state, transformers.TrainerControl())
    assert monitor.steps == ()
