"""A fit of Lightning with a monitor: what its loggers get, and that nothing else changes."""

import csv
import pickle
import sys
import warnings

import pytest
import torch
from torch import nn

from clusterability import ClusterabilityMonitor, InputError
from clusterability.watching.metrics import metrics

QUICK = {"n_clusters": 2, "n_shuffles": 3, "n_init": 1, "workers": 1}


def test_without_lightning(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    with pytest.raises(InputError, match=r"needs the package lightning .*clusterability\[lightn"):
        ClusterabilityMonitor(nn.Linear(2, 2), 1).lightning_callback()


@pytest.fixture
def lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports and advice
        yield pytest.importorskip("lightning.pytorch")


def network(lightning):
    class Network(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            parts = (nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
            self.net = nn.Sequential(*parts)

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            loss = self(batch).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

    torch.manual_seed(0)
    return Network()


def fit(lightning, model, folder, callbacks, **options):
    """Train 8 batches of 4, and return the trainer."""
    logger = lightning.loggers.CSVLogger(folder, flush_logs_every_n_steps=1)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": logger}
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=callbacks,
        log_every_n_steps=100,
        enable_checkpointing=False,
        **quiet,
        **options,
    )
    torch.manual_seed(1)
    batches = torch.utils.data.DataLoader(torch.randn(16, 4), batch_size=4, shuffle=True)
    trainer.fit(model, batches)
    return trainer


@pytest.mark.slow
def test_what_is_logged(lightning, tmp_path):
    model = network(lightning)
    monitor = ClusterabilityMonitor(model, 3, example_inputs=torch.zeros(1, 4), **QUICK)
    trainer = fit(lightning, model, tmp_path, [monitor.lightning_callback()])
    assert monitor.steps == (0, 3, 6)
    with open(f"{trainer.logger.log_dir}/metrics.csv") as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file)}
    assert list(rows) == [0, 3, 6]
    for step, result in zip(monitor.steps, monitor.results, strict=True):
        for name, value in metrics(result).items():
            assert float(rows[step][name]) == pytest.approx(value, rel=1e-6)
    last = trainer.callback_metrics["clusterability/ncut"]
    assert last.item() == pytest.approx(monitor.results[-1].ncut, rel=1e-6)


@pytest.mark.slow
def test_the_training_is_the_same(lightning, tmp_path):
    plain, watched = network(lightning), network(lightning)
    fit(lightning, plain, tmp_path / "plain", [])
    monitor = ClusterabilityMonitor(watched, 3, **QUICK)
    callback = monitor.lightning_callback()
    fit(lightning, watched, tmp_path / "watched", [callback])
    pairs = zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert watched.training == plain.training


def test_a_callback_can_be_sent_to_a_process(lightning):
    callback = ClusterabilityMonitor(nn.Linear(2, 2), 1).lightning_callback()
    assert isinstance(pickle.loads(pickle.dumps(callback)), lightning.Callback)


@pytest.mark.slow
def test_gradients_that_are_accumulated(lightning, tmp_path):
    model = network(lightning)
    monitor = ClusterabilityMonitor(model.net, 1, **QUICK)
    fit(lightning, model, tmp_path, [monitor.lightning_callback()], accumulate_grad_batches=2)
    assert monitor.steps == (0, 1, 2, 3, 4)
