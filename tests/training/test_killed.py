"""Runs that are killed, and processes that get in each other's way."""

import dataclasses
import os

import pytest

from clusterability.training import TrainingSpec, train
from forked import Forked, on_one_processor
from killed_training import SPEC, main
from training_cases import few_digits, weights_of

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path):
    out = tmp_path / "killed"
    program = Forked(lambda: main(out))
    found, _ = program.communicate(120)
    for line, stack in zip(found.splitlines(), [(), (0, 1)], strict=True):
        n_killed, code = map(int, line.split())
        assert code == 0
        assert n_killed >= 2
        assert_same_bytes(tmp_path / f"killed{len(stack)}", stack, tmp_path)


def assert_same_bytes(out, stack, tmp_path):
    spec = dataclasses.replace(SPEC, stack=stack)
    train(spec, data=few_digits(), out=tmp_path, threads=1)
    for seed in stack or (0,):
        name = dataclasses.replace(spec, seed=seed).name
        for phase in ("unpruned", "pruned"):
            expected = (tmp_path / name / f"{phase}.safetensors").read_bytes()
            assert (out / name / f"{phase}.safetensors").read_bytes() == expected
        left = {path.name for path in (out / name).iterdir() if path.name != ".lock"}
        assert left == {
            *("unpruned.safetensors", "pruned.safetensors"),
            *("curves.csv", "curves.png", "run.json"),
        }


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins a process")
def test_two_processes_start_the_same_run(tmp_path):
    # On one processor, and so in one thread: how many there are changes the rounding.
    fields = ["--network", "small-mlp", "--dataset", "digits", "--epochs", "6", "--no-prune"]
    command = ["train", *fields, "--out", tmp_path / "a"]
    both = [Forked(command, before=on_one_processor) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        # Refused, or late enough to find it finished.
        if process.returncode == 2:
            assert "is being trained by another process; wait for it" in err
            assert err.count("\n") == 1
        else:
            assert (process.returncode, err) == (0, "")
    assert 0 in [process.returncode for process in both]
    spec = TrainingSpec("small-mlp", "digits", epochs=6, pruning_epochs=0)
    expected = train(spec, out=tmp_path / "b", threads=1)
    found = tmp_path / "a" / spec.name / "unpruned.safetensors"
    assert [found.read_bytes()] == weights_of(expected)
