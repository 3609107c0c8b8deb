import argparse
import dataclasses
import json
import os
import re
import signal
import time
from dataclasses import replace

import pytest

from clusterability import training
from clusterability.cli import main
from clusterability.cli import train as command
from clusterability.datasets import load_dataset
from clusterability.records import choice_of
from clusterability.settings import Settings
from clusterability.training import NETWORKS, TrainingSpec, measured, train
from forked import Forked, on_one_processor
from training_cases import change_checkpoint, make_infinite, stop_after, weights_of

DIGITS = ("--network", "small-mlp", "--dataset", "digits")
FAST = (*DIGITS, "--epochs", "1", "--pruning-epochs", "1", "--batch-size", "400")
SPEC = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=1, batch_size=400)


def flags_of(record):
    return [choice_of(f).flag for f in dataclasses.fields(record) if choice_of(f).flag]


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["train", *map(str, arguments)])


def test_without_options_it_is_the_papers():
    assert command.training_spec(
        parsed("--network", "vgg", "--dataset", "cifar-10")
    ) == TrainingSpec("vgg", "cifar-10")


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--dropout"], {"dropout": True}),
        (["--l1", "1e-5"], {"l1": 1e-5}),
        (["--l2", "5e-5"], {"l2": 5e-5}),
        (["--l2", "0.1", "--mixed-l2"], {"l2": 0.1, "mixed_l2": True}),
        (["--epochs", "3"], {"epochs": 3}),
        (["--pruning-epochs", "4"], {"pruning_epochs": 4}),
        (["--no-prune"], {"pruning_epochs": 0}),
        (["--initial-sparsity", "0.25"], {"initial_sparsity": 0.25}),
        (["--final-sparsity", "0.75"], {"final_sparsity": 0.75}),
        (["--batch-size", "32"], {"batch_size": 32}),
        (["--learning-rate", "0.01"], {"learning_rate": 0.01}),
        (["--augment"], {"augment": True}),
        (["--no-augment"], {"augment": False}),
        (["--retrain-below", "2.5"], {"retrain_below": 2.5}),
        (["--seed", "6"], {"seed": 6}),
        (["--data-seed", "8"], {"data_seed": 8}),
    ],
)
def test_options_become_the_spec(options, fields):
    found = command.training_spec(
        parsed("--network", "small-cnn", "--dataset", "cifar-10", *options)
    )
    assert found == TrainingSpec("small-cnn", "cifar-10", **fields)
    plain = TrainingSpec("small-cnn", "cifar-10")
    assert found != plain or options == ["--augment"]


def test_options_of_mlps_become_the_spec():
    options = ["--eigenvalue-penalty", "0.1", "--eigenvalues", "2-4,7"]
    found = command.training_spec(parsed("--network", "small-mlp", "--dataset", "digits", *options))
    fields = {"eigenvalue_penalty": 0.1, "eigenvalues": (2, 3, 4, 7)}
    assert found == TrainingSpec("small-mlp", "digits", **fields)


def test_the_other_options_reach_train_many(monkeypatch):
    calls = []
    monkeypatch.setattr(training, "train_many", lambda *a, **k: calls.append((a, k)) or [])
    options = ["--runs", 3, "--no-stack", "--device", "cpu", "--workers", 2, "--threads", 3]
    options += ["--out", "o"]
    command.run(parsed(*DIGITS, *options, "--data-dir", "d", "--quiet"), [])
    assert calls == [
        (
            (TrainingSpec("small-mlp", "digits"), 3),
            {
                **{"stacked": False, "out": "o", "data_dir": "d", "device": "cpu"},
                **{"threads": 3, "workers": 2, "progress": False},
            },
        )
    ]


@pytest.mark.slow
def test_table_and_files(tmp_path, capsys):
    assert main(["train", *FAST, "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no progress bar where there is no terminal
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["seed", "network", "sparsity"]
    assert "n-cut" not in out
    assert rows[1][:4] == ["0", "unpruned", "0.0", "%"]
    assert rows[2][:4] == ["0", "pruned", "90.0", "%"]
    assert f"  {SPEC.name}" in out.splitlines()
    names = {path.name for path in (tmp_path / SPEC.name).iterdir()} - {".lock"}
    files = {"unpruned.safetensors", "pruned.safetensors", "curves.csv", "curves.png", "run.json"}
    assert names == files
    assert (tmp_path / SPEC.name / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert main(["train", *FAST, "--out", str(tmp_path), "--measure"]) == 0
    header, unpruned, pruned, *_ = capsys.readouterr().out.splitlines()
    assert re.search(r" n-cut +shuffles +effect +p +Z$", header)
    for phase, line in (("unpruned", unpruned), ("pruned", pruned)):
        path = tmp_path / SPEC.name / f"{phase}-clusterability.json"
        data = json.loads(path.read_text())
        assert f" {data['ncut']:.3f} " in line
        assert len(data["null"]["values"]) == 50


@pytest.mark.slow
def test_measured_by_any_settings_and_anew_where_they_differ(tmp_path, capsys, monkeypatch):
    fast = ["--clusters", "4", "--starts", "1", "--shuffles", "3"]
    arguments = ["train", *FAST[:6], "--no-prune", "--out", str(tmp_path), "--seed", "5"]
    arguments += ["--batch-size", "400", "--measure", *fast]
    spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0, batch_size=400, seed=5)
    path = tmp_path / spec.name / "unpruned-clusterability.json"
    found = []
    measure_really = measured.measure
    monkeypatch.setattr(
        measured, "measure", lambda *a, **k: found.append(k) or measure_really(*a, **k)
    )
    for more in ([], [], ["--conventions", "published", "--ties", "tied"], ["--null", "nonzero"]):
        assert main([*arguments, *more]) == 0
        settings = json.loads(path.read_text())["settings"]
        assert (settings["n_clusters"], settings["n_shuffles"], settings["seed"]) == (4, 3, 5)
        assert settings["n_init"] == 1
    assert len(found) == 3
    assert (found[1]["conventions"], found[1]["ties"]) == ("published", "tied")
    assert settings["null"] == "nonzero"
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_quiet_without_pruning(tmp_path, capsys):
    options = [*FAST[:6], "--batch-size", "400", "--no-prune", "--quiet", "--out", str(tmp_path)]
    assert main(["train", *options]) == 0
    assert capsys.readouterr() == ("", "")
    (folder,) = tmp_path.iterdir()
    assert (folder / "unpruned.safetensors").exists()
    assert not (folder / "pruned.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--network", "small-mpl"], "did you mean 'small-mlp'"),
        (["--dataset", "digit"], "did you mean 'digits'"),
        (["--dataset", "no/such.npz"], "no/such.npz"),
        (["--l1", "-1"], "l1 is -1,"),
        (["--l1", "nan"], "l1 is nan"),
        (["--l2", "inf"], "l2 is inf"),
        (["--mixed-l2"], "without l2"),
        (["--epochs", "0"], "epochs is 0"),
        (["--pruning-epochs", "-1"], "pruning_epochs is -1"),
        (["--no-prune", "--pruning-epochs", "2"], "leave out one of them"),
        (["--final-sparsity", "1"], "final_sparsity is 1,"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--learning-rate", "0"], "learning_rate is 0,"),
        (["--augment"], "takes images flattened"),
        (["--network", "mlp-regression"], "does not fit 'digits'"),
        (["--network", "vgg"], "at least 32 pixels"),
        (["--epochs", "ten"], "epochs is 'ten', expected a whole number"),
        (["--l1", "much"], "l1 is 'much', expected a weight of at least 0"),
        (["--runs", "two"], "runs is 'two'"),
        (["--device", "gpu"], "device is 'gpu', expected one of auto, cpu, cuda"),
        (["--shuffles", "10"], "--shuffles says how to measure, but --measure is not there"),
        (["--measure", "--conventions", "publish"], "did you mean 'published'"),
        (["--measure", "--volume-offset", "-1"], "volume_offset is -1, expected a number"),
        (["--runs", "0"], "runs is 0"),
        (["--stack"], "several runs of an MLP"),
        (["--workers", "0"], "workers is 0"),
        (["--seed", "-1"], "seed is -1"),
        (["--out", os.devnull], "give another out"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, options, words):
    assert main(["train", *DIGITS, "--out", str(tmp_path), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_diverged_loss_is_no_mistake_of_the_input(tmp_path, capsys):
    options = ["--learning-rate", "1e30", "--epochs", "1", "--out", str(tmp_path)]
    assert main(["train", *DIGITS, *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "became NaN or infinite" in err
    assert err.count("\n") == 1


def test_no_gpu(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["train", *FAST, "--device", "cuda", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "no GPU" in err
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins a process")
def test_an_interrupt_is_prompt_and_the_run_goes_on(tmp_path):
    # On one processor, and so in one thread: how many there are changes the rounding.
    options = [*DIGITS, "--epochs", "15", "--no-prune", "--batch-size", "32"]
    spec = TrainingSpec("small-mlp", "digits", epochs=15, pruning_epochs=0, batch_size=32)
    checkpoint = tmp_path / "a" / spec.name / "checkpoint.safetensors"
    process = Forked(["train", *options, "--out", tmp_path / "a"], before=on_one_processor)
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    kept = f"checkpoints and finished networks in '{tmp_path / 'a'}'; the same command goes on"
    assert (out, err) == ("", f"clusterability: interrupted; written: {kept} with them\n")
    assert checkpoint.exists()
    expected = train(spec, out=tmp_path / "b", threads=1)
    assert weights_of(train(spec, out=tmp_path / "a", threads=1)) == weights_of(expected)


def test_help_names_every_field_of_the_spec():
    text = command.add_parser(argparse.ArgumentParser().add_subparsers()).format_help()
    flags = {flag for record in (TrainingSpec, Settings) for flag in flags_of(record)}
    assert len(flags) == 45
    assert all(f"{flag} " in text or f"{flag}," in text for flag in flags)
    for network in NETWORKS:
        assert network in text
    assert "goes on from its last finished epoch" in text


@pytest.mark.slow
def test_one_that_diverges_does_not_hide_the_others(tmp_path, capsys):
    checkpoint = stop_after(tmp_path, replace(SPEC, seed=1), 1, load_dataset("digits"))
    change_checkpoint(checkpoint, make_infinite)
    options = ["--runs", "3", "--workers", "1", "--out", str(tmp_path)]
    assert main(["train", *FAST, *options]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["0", "0", "2", "2"]
    assert "seed1" in err
    assert err.count("\n") == 1
