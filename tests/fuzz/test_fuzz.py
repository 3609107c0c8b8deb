"""The fuzzer itself, for a few steps, in this process."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from fuzz.__main__ import Campaign
from fuzz.formats import FORMATS, Format
from fuzz.worker import Outcome, Worker, outcome_of

SLOW = ("keras", "h5")


@pytest.mark.slow
@pytest.mark.parametrize("form", [f for f in FORMATS if f.name not in SLOW], ids=lambda f: f.name)
def test_whole_files_are_read_and_damaged_ones_get_a_sentence(form, tmp_path):
    whole = form.make()
    path = tmp_path / form.file
    path.parent.mkdir(exist_ok=True)
    for name, data in form.beside().items():
        (tmp_path / name).write_bytes(data)
    rng = Random(0)
    for i in range(len(whole) + 15):
        damaged = form.damage(rng.choice(whole), rng, list(whole))
        path.write_bytes(whole[i] if i < len(whole) else damaged)
        if i < len(whole):
            form.read(path)
            continue
        ended = outcome(form, path)
        assert not ended.is_fault, ended.text


def outcome(form, path):
    found = outcome_of(form, path)
    # The most memory that this process has taken is not that of one file.
    return Outcome("read", "") if found.kind == "memory" else found


def bomb(path: Path) -> None:
    kind = path.read_bytes()
    if kind == b"loops":
        while True:
            pass
    if kind == b"fills":
        np.ones(10**7)
    elif kind != b"whole":
        raise ValueError("neither")


@pytest.mark.slow
def test_faults_are_told_apart_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.worker.MOST_SECONDS", 2.0)
    monkeypatch.setattr("fuzz.worker.MOST_MB", 40.0)
    form = Format("bomb", "a.bin", lambda: [b"whole"], bomb)
    worker = Worker(form, tmp_path)
    kinds = [worker.read(data).kind for data in (b"whole", b"loops", b"fills", b"x", b"whole")]
    worker.stop()
    assert kinds == ["read", "hang", "memory", "traceback", "read"]


@pytest.mark.slow
def test_a_seed_draws_the_same_files_and_faults_are_kept(tmp_path):
    form = Format("bomb", "a.bin", lambda: [b"whole"], bomb)
    seen = []
    for i in range(2):
        campaign = Campaign(form, 3, tmp_path / f"work{i}", tmp_path / f"kept{i}")
        for _ in range(6):
            campaign.step()
        campaign.worker.stop()
        seen.append((campaign.seen, campaign.counts["traceback"]))
    assert seen[0] == seen[1]
    assert len(list((tmp_path / "kept0" / "bomb").iterdir())) == 3
