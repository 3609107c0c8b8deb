"""What an interrupted command says of the work that it has kept."""

import os

import pytest

from clusterability.cli.kept import told_what_is_kept

PATTERNS = ("*/run.json", "*/checkpoint.safetensors")


def end(folder, error, work, written):
    with told_what_is_kept("finished work", str(folder), PATTERNS, written):
        if work is not None:
            work()
        raise error


def said(folder, error=KeyboardInterrupt, work=None):
    written = []
    with pytest.raises(error):
        end(folder, error, work, written)
    return written


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["run.json", "checkpoint.safetensors"])
def test_work_of_this_call_is_named(tmp_path, run, name):
    def work():
        (run / name).write_text("1")
        ahead = (run / name).stat().st_mtime + 10  # clocks of file systems are coarse
        os.utime(run / name, (ahead, ahead))

    (statement,) = said(tmp_path, work=work)
    assert statement.startswith(f"finished work in '{tmp_path}'; the same")


def test_work_of_earlier_calls_other_files_and_no_folder_are_nothing(tmp_path, run):
    (run / "run.json").write_text("1")
    os.utime(run / "run.json", (1, 1))
    assert said(tmp_path) == []
    assert said(tmp_path, work=lambda: (run / ".lock").write_text("1")) == []
    assert said(tmp_path / "gone") == []


def test_an_empty_file_and_no_folder_at_all_are_nothing(tmp_path, run):
    assert said(tmp_path, work=(run / "run.json").touch) == []
    written = []
    with pytest.raises(KeyboardInterrupt), told_what_is_kept("work", None, PATTERNS, written):
        raise KeyboardInterrupt
    assert written == []


def test_a_long_folder_is_named_in_full(tmp_path):
    folder = tmp_path / ("a" * 100)
    (folder / "run").mkdir(parents=True)

    def work():
        (folder / "run" / "run.json").write_text("1")
        os.utime(folder / "run" / "run.json", (2**33, 2**33))

    (statement,) = said(folder, work=work)
    assert f"'{folder}'" in statement


def test_a_file_that_has_just_gone_is_nothing(run):
    (run / "run.json").symlink_to(run / "gone")
    assert said(run.parent) == []


def test_nothing_is_said_of_other_errors(tmp_path, run):
    (run / "run.json").write_text("1")
    os.utime(run / "run.json", (2**33, 2**33))
    assert said(tmp_path, ValueError) == []
    assert len(said(tmp_path)) == 1
