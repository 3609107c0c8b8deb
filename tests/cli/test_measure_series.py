"""``measure --series``."""

import json
from pathlib import Path

import pytest
import torch

from clusterability.cli import main

FAST = ("--clusters", "3", "--shuffles", "4", "--starts", "2")


@pytest.fixture
def checkpoints(tmp_path):
    generator = torch.Generator().manual_seed(0)
    paths = [tmp_path / f"ckpt_{step}.pt" for step in (100, 20, 3)]
    for path in paths:
        sizes = {"fc1.weight": (12, 20), "fc2.weight": (8, 12)}
        torch.save({n: torch.randn(s, generator=generator) for n, s in sizes.items()}, path)
    return paths


@pytest.mark.slow
def test_a_series_is_in_the_order_of_its_steps_without_what_cannot_be_read(
    checkpoints, tmp_path, capsys
):
    broken = tmp_path / "ckpt_50.pt"
    broken.write_bytes(checkpoints[0].read_bytes()[:400])
    names = [str(tmp_path / "ckpt_[1-9]*.pt"), str(tmp_path / "ckpt_7.pt")]
    outputs = ["--series", str(tmp_path / "s.svg"), "--json", str(tmp_path / "s.json")]
    assert main(["measure", *names, *FAST, *outputs]) == 0
    found = [each["network"] for each in json.loads((tmp_path / "s.json").read_text())]
    assert found == [str(path) for path in reversed(checkpoints)]
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 2
    assert "ckpt_7.pt' is left out of the series: " in complaints[0]
    assert "ckpt_50.pt' is left out of the series: " in complaints[1]
    assert "step" in (tmp_path / "s.svg").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_no_fault_of_one_network_of_a_series(
    checkpoints, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("clusterability.journal._appended", lambda _: open("/dev/full", "ab"))  # noqa: SIM115
    names = map(str, checkpoints)
    options = ["--series", str(tmp_path / "s.pdf"), "--resume", str(tmp_path / "kept")]
    assert main(["measure", *names, *FAST, *options]) == 2
    error = capsys.readouterr().err
    assert "cannot keep finished graphs" in error
    assert "is left out of the series" not in error
    assert not (tmp_path / "s.pdf").exists()


@pytest.mark.slow
def test_a_series_is_of_one_architecture(checkpoints, tmp_path, capsys):
    torch.save({"fc1.weight": torch.ones(9, 20), "fc2.weight": torch.ones(8, 9)}, checkpoints[1])
    figure = ["--series", str(tmp_path / "s.pdf")]
    assert main(["measure", *map(str, checkpoints), *FAST, *figure]) == 2
    assert "of 9 neurons, where the first has" in capsys.readouterr().err
    assert not (tmp_path / "s.pdf").exists()
    assert main(["measure", str(checkpoints[0]), str(tmp_path / "none"), *FAST, *figure]) == 2
    error = capsys.readouterr().err
    assert "--series has 1 networks that can be measured, expected two or more; of the" in error
