import os
import subprocess
import sys
from pathlib import Path

import pytest

from clusterability.errors import InputError
from clusterability.training import train
from clusterability.training.folders import RunFolder
from training_cases import few_digits, small_spec, weights_of

pytestmark = pytest.mark.usefixtures("no_figures")

SPEC = small_spec(epochs=1, pruning_epochs=0)


def trained(out, spec=SPEC, **fields):
    return train(spec, **{"data": few_digits(), "out": out, "threads": 1} | fields)


def test_one_process_alone(tmp_path):
    with (
        RunFolder(tmp_path, SPEC),
        pytest.raises(InputError, match="is being trained by another process") as error,
    ):
        trained(tmp_path)
    assert "\n" not in str(error.value)
    trained(tmp_path)  # the lock is gone


def test_a_lock_of_another_process_ends_with_it(tmp_path):
    code = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire();"
        "print('locked', flush=True); sys.stdin.read()"
    )
    path = tmp_path / SPEC.name / ".lock"
    path.parent.mkdir()
    command = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="wait for it"):
            trained(tmp_path)
        process.kill()
    trained(tmp_path)


def test_what_a_killed_write_left_is_removed(tmp_path):
    folder = tmp_path / SPEC.name
    folder.mkdir()
    (folder / ".new-abc").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    run = trained(tmp_path)
    names = {path.name for path in run.folder.iterdir()}
    assert names - {".lock"} == {
        *("unpruned.safetensors", "curves.csv", "curves.png", "run.json", "notes.txt")
    }


def test_another_runs_record_is_refused(tmp_path):
    run = trained(tmp_path)
    text = (run.folder / "run.json").read_text()
    (run.folder / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match=r"holds a run of another spec; remove it"):
        trained(tmp_path)


def test_other_data_is_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(InputError, match=r"holds a run of another data; remove it"):
        trained(tmp_path, data=few_digits(149))
    trained(tmp_path, data=few_digits())


def test_damaged_record_is_refused(tmp_path):
    run = trained(tmp_path)
    for content in (b"", b"\xff\xfe\x00{", b"[]"):
        (run.folder / "run.json").write_bytes(content)
        with pytest.raises(InputError, match="remove its folder to train the run again") as error:
            trained(tmp_path)
        assert "\n" not in str(error.value)
    os.unlink(run.folder / "run.json")
    (run.folder / "run.json").mkdir()
    with pytest.raises(InputError, match="cannot read"):
        trained(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.json", "unpruned.safetensors", "checkpoint.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_what_has_no_end_is_refused(tmp_path, name, kind):
    run = trained(tmp_path)
    (run.folder / name).unlink(missing_ok=True)
    if name == "checkpoint.safetensors":
        (run.folder / "run.json").unlink()
    if kind == "pipe":
        os.mkfifo(run.folder / name)
    else:
        (run.folder / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"is no regular file; .*(give another|remove it)"):
        trained(tmp_path).network("unpruned")


def test_weights_that_are_missing_are_trained_again(tmp_path):
    run = trained(tmp_path)
    before = weights_of(run)
    os.unlink(run.folder / "unpruned.safetensors")
    assert weights_of(trained(tmp_path)) == before


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / SPEC.name).write_text("")
    for out in (tmp_path / "file", tmp_path):
        with pytest.raises(InputError, match=r"cannot write to .*; give another out"):
            trained(out)

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"Permission denied; give another out"):
        trained(tmp_path / "new")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk(tmp_path, monkeypatch, call):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    expected = weights_of(trained(tmp_path / "other"))
    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(InputError, match="No space left on device") as error:
            trained(tmp_path)
    assert "\n" not in str(error.value)
    folder = tmp_path / SPEC.name
    assert {path.name for path in folder.iterdir()} <= {".lock"}
    assert weights_of(trained(tmp_path)) == expected
