import argparse
import subprocess
import sys
import warnings

import numpy as np
import pytest

from clusterability.cli import datasets as command
from clusterability.cli import main
from clusterability.datasets import DATASETS
from clusterability.errors import InputError
from data_folders import alone, small_base


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    written = []
    command.run(parser.parse_args(["datasets", *map(str, arguments)]), written)
    return written


def test_table(monkeypatch, tmp_path, capsys):
    data_dir, _ = small_base(monkeypatch, tmp_path)
    assert run("--data-dir", data_dir) == []
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "train", "test", "sample", "outputs", "files", "license"]
    rows = {line.split()[0]: line for line in lines}
    assert list(rows) == list(DATASETS)
    assert "  here  " in rows["mnist"]
    assert "  to download  " in rows["fashion-mnist"]
    assert "  needs fashion-mnist  " in rows["fashion-stack-same"]
    assert "  from mnist  " in rows["lines-mnist"]
    assert "  from the seed  " in rows["polynomials"]
    assert "  shipped  " in rows["digits"]
    assert " - " in rows["random-memorization"]
    assert max(map(len, lines)) <= 100


def test_details(monkeypatch, tmp_path, capsys):
    data_dir, _ = small_base(monkeypatch, tmp_path)
    run("mnist", "--data-dir", data_dir)
    shown = capsys.readouterr().out
    entry = DATASETS["mnist"]
    for text in (entry.source, entry.license, *entry.checksums.values(), str(data_dir / "mnist")):
        assert text in shown


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_has_details(monkeypatch, tmp_path, capsys, name):
    alone(monkeypatch, tmp_path)
    run(name)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name}: ")
    needs_files = DATASETS[name].files or "made from mnist" in DATASETS[name].source
    assert ("not here; clusterability datasets" in shown) >= bool(needs_files)


@pytest.mark.slow
def test_samples(tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert run("digits", "--samples", path) == [str(path)]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "1,437 to train on" in capsys.readouterr().out


@pytest.mark.slow
def test_ones_own_file(tmp_path, capsys):
    np.savez(tmp_path / "mine.npz", x=np.zeros((4, 1, 8, 8), np.uint8), y=[0, 1, 0, 1])
    written = run(tmp_path / "mine.npz", "--samples", tmp_path / "sheet.pdf")
    assert written == [str(tmp_path / "sheet.pdf")]
    assert "1 x 8 x 8 uint8, 2 classes" in capsys.readouterr().out


@pytest.mark.slow
def test_the_seed_is_used(tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("random-memorization", "--samples", tmp_path / f"{name}.png", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    assert "3,000 to train on, none to test with" in capsys.readouterr().out


def test_downloading_what_is_here_does_nothing(monkeypatch, tmp_path, capsys):
    data_dir, _ = small_base(monkeypatch, tmp_path)
    run("mnist-7x7", "--download", "--data-dir", data_dir)
    assert str(data_dir / "mnist") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnits"], "did you mean 'mnist'"),
        (["--download"], "--download takes one data set"),
        (["--samples", "x.png"], "--samples takes one data set"),
        (["digits", "--samples", "x.gif"], "use one of"),
        (["mnist", "--samples", "x.png"], "files of mnist are not here"),
        (["mnist", "--download"], "cannot download"),
        (["digits", "--seed", "-1", "--samples", "x.png"], "seed is -1"),
        (["mnist", "--data-dir", "missing"], "data_dir is 'missing'"),
        (["x.png", "--samples", "x.png"], "named twice"),
        (["x.png", "--samples", "./x.png"], "named twice"),
        (["x" * 5000, "--samples", "x.png"], "there is no data set"),
    ],
)
def test_mistakes(monkeypatch, tmp_path, arguments, message):
    small_base(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    if "x.png" in arguments[:1]:
        (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(InputError, match=message):
        run(*arguments)


def test_help_waits_for_nothing():
    code = (
        "import argparse, sys; from clusterability.cli import datasets;"
        "datasets.add_parser(argparse.ArgumentParser().add_subparsers()).format_help();"
        "assert not {'numpy', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_warning_is_a_line(monkeypatch, capsys):
    def warn(_args, _written):
        warnings.warn("it is\n  late", stacklevel=1)

    monkeypatch.setattr(command, "run", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        usual = warnings.showwarning
        assert main(["datasets"]) == 0
        assert warnings.showwarning is usual
    assert capsys.readouterr().err == "clusterability: warning: it is late\n"
