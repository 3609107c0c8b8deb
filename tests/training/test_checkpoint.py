import pytest
import torch

from clusterability.errors import InputError
from clusterability.training.checkpoint import (
    FILE,
    Checkpoint,
    explain_damaged_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from clusterability.training.progress import Progress
from clusterability.training.record import Attempt, EpochScores, PhaseScores

ROW = EpochScores("unpruned", 1, 0.1 + 0.2, 1 / 3, None, None, 0.0, 0.0, 1e-9)
SCORES = PhaseScores(1.5, None, 2 / 3, None, 1e300, None, 0.0, 0.9)


def some(epoch=3):
    state = {"a": torch.randn(3, 4), "step": torch.tensor(7.0), "n": torch.tensor(2**40)}
    progress = Progress(
        attempt=2,
        phase=1,
        epoch=epoch,
        curves=[[ROW, ROW], []],
        phases=[{"unpruned": SCORES}, {}],
        diverged=[None, "pruned, epoch 2"],
        attempts=[Attempt("pruned", 0.25)],
        seconds=12.5,
        threads=2,
    )
    return Checkpoint(state, progress, "d")


def test_round_trip_is_exact(tmp_path):
    checkpoint = some()
    write_checkpoint(tmp_path, checkpoint)
    found = read_checkpoint(tmp_path, "d")
    assert (found.progress, found.digest) == (checkpoint.progress, checkpoint.digest)
    assert found.state.keys() == checkpoint.state.keys()
    for name, value in checkpoint.state.items():
        assert torch.equal(found.state[name], value)
        assert found.state[name].dtype == value.dtype
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_last_one_counts_and_can_be_replaced_while_read(tmp_path):
    write_checkpoint(tmp_path, some())
    found = read_checkpoint(tmp_path, "d")
    before = found.state["a"].clone()
    write_checkpoint(tmp_path, some(epoch=4))
    assert torch.equal(found.state["a"], before)
    assert read_checkpoint(tmp_path, "d").progress.epoch == 4


def test_none(tmp_path):
    assert read_checkpoint(tmp_path, "d") is None


def test_of_another_run(tmp_path):
    write_checkpoint(tmp_path, some())
    with pytest.raises(InputError, match=r"other data, another spec or .*; name those"):
        read_checkpoint(tmp_path, "e")


def test_damaged(tmp_path):
    write_checkpoint(tmp_path, some())
    whole = (tmp_path / FILE).read_bytes()
    assert b'"attempt": 2' in whole.replace(b"\\", b"")
    for content in (
        b"",
        whole[:-1],
        whole[:50],
        b"\xff" * 60,
        whole.replace(b"curves", b"kurves"),
        whole.replace(b"checkpoint", b"chekcpoint"),
    ):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged .* remove it to train") as error:
            read_checkpoint(tmp_path, "d")
        assert "\n" not in str(error.value)


def test_any_error_becomes_damage(tmp_path):
    for error, words in ((InputError("phase is 2"), "phase is 2"), (TypeError("x"), "TypeError")):
        with (
            pytest.raises(InputError, match=rf"is damaged \({words}\)"),
            explain_damaged_checkpoint(tmp_path),
        ):
            raise error


def test_a_lack_of_memory_is_no_damage(tmp_path):
    for kind in (MemoryError, torch.OutOfMemoryError):
        with pytest.raises(kind), explain_damaged_checkpoint(tmp_path):
            raise kind
