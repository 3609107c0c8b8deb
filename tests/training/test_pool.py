"""Runs in processes: none outlives its parent, and none is lost when one dies."""

import os
import signal
import tempfile
import time

import numpy as np
import psutil
import pytest

from clusterability import processes
from clusterability.datasets import Dataset, Split
from clusterability.errors import InputError, RunError
from clusterability.training import pool, running, train_many
from clusterability.training.pool import affordable_workers
from forked import Forked, ForkedWorker
from training_cases import few_digits, small_spec, weights_of

# Epochs enough to be stopped in the middle, on a machine of any speed.
TRAINING = [
    *("train", "--network", "small-mlp", "--dataset", "digits", "--runs", "2", "--workers", "2"),
    *("--epochs", "4000", "--no-prune", "--quiet", "--out"),
]


@pytest.fixture
def in_processes(monkeypatch):
    monkeypatch.setattr(running, "is_worth_processes", lambda *_: True)


def parent_and_children(out):
    """A command that trains in two processes, past the first epoch of each."""
    process = Forked([*TRAINING, out])
    deadline = time.monotonic() + 90
    while len(list(out.glob("*/checkpoint.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    return process, children


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_an_interrupt_ends_all_of_them(tmp_path):
    process, children = parent_and_children(tmp_path)
    process.send_signal(signal.SIGINT)
    kept = f"checkpoints and finished networks in '{tmp_path}'; the same command goes on"
    assert process.communicate(timeout=30) == (
        "",
        f"clusterability: interrupted; written: {kept} with them\n",
    )
    assert process.returncode == 130
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_they_end_with_a_parent_that_is_killed(tmp_path):
    process, children = parent_and_children(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_one_that_dies_is_named_and_its_run_goes_on_later(tmp_path, monkeypatch):
    spec, data = small_spec(epochs=10, pruning_epochs=0), few_digits()
    alone = train_many(spec, 2, data=data, out=tmp_path / "a", workers=1)
    expected = [weights_of(run) for run in alone]

    started, lying = [], []
    (tmp_path / "temporary").mkdir()

    def start(worker, *arguments):
        begin(worker, *arguments)
        started.append(worker.process)

    def ask(worker, message):
        lying.append(("spec" in message, len(list((tmp_path / "temporary").iterdir()))))
        if "spec" in message and worker.process is started[0]:
            os.kill(worker.process.pid, signal.SIGKILL)
        return question(worker, message)

    begin, question = pool.Worker.__init__, pool.Worker.ask
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        patched.setattr(pool.Worker, "__init__", start)
        patched.setattr(pool.Worker, "ask", ask)
        with pytest.raises(RunError, match=r"ended with -9, .* try again with fewer workers"):
            train_many(spec, 2, data=data, out=tmp_path / "b", workers=2)
    # The data leave the disk before the training begins.
    assert set(lying) == {(False, 1), (True, 0)}
    runs = train_many(spec, 2, data=data, out=tmp_path / "b", workers=2)
    assert [weights_of(run) for run in runs] == expected


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_what_a_child_cannot_do_is_said_once(tmp_path, monkeypatch):
    """Forked, they need not import torch once more, as those of the other tests do."""
    spec, data = small_spec(), few_digits()
    monkeypatch.setattr(processes.subprocess, "Popen", ForkedWorker)
    monkeypatch.setattr(pool, "write_data", lambda path, _data: path.write_bytes(b"no archive"))
    with pytest.raises(InputError, match=r"data\.npz. is truncated, corrupt"):
        train_many(spec, 2, data=data, out=tmp_path, workers=2)


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_no_room_for_the_data(tmp_path, monkeypatch):
    def full(*_arguments, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(RunError, match=r"No space left .* use one worker"):
        train_many(small_spec(), 2, data=few_digits(), out=tmp_path, workers=2)


def test_only_as_many_as_memory_allows(monkeypatch):
    x = np.zeros((1000, 1, 10, 10), np.uint8)
    data = Dataset("x", Split(x, np.zeros(1000, np.int64)), None, 10)
    each = pool.WORKER_MEMORY + 8 * (100_000 + 10_000)
    for available, expected in [(None, 8), (3 * each + 5, 3), (each // 2, 1), (100 * each, 8)]:
        monkeypatch.setattr(pool, "available_memory", lambda available=available: available)
        assert affordable_workers(8, data) == expected
