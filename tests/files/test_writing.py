import os
import stat
import threading

import pytest

from clusterability.errors import InputError
from clusterability.files.writing import check_writable, write_whole


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("as_text", [False, True])
def test_writes_and_replaces(tmp_path, as_text):
    path = tmp_path / "result.json"
    for content in (b"first", b"", b"second, longer"):
        write_whole(str(path) if as_text else path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["result.json"]


def test_a_bare_name_goes_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole("result.json", b"{}")
    assert (tmp_path / "result.json").read_bytes() == b"{}"


def test_new_files_may_be_read_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "x", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, function):
    path = tmp_path / "result.json"
    write_whole(path, b"old")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(InputError, match=r"cannot write '.*result.json': No space left.*; choose"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("function", [check_writable, lambda path: write_whole(path, b"x")])
class TestRefused:
    def test_a_folder(self, tmp_path, function):
        with pytest.raises(InputError, match="it is a folder; name a file in it"):
            function(tmp_path)

    def test_a_missing_folder(self, tmp_path, function):
        with pytest.raises(InputError, match=r"no folder '.*absent'; make it first"):
            function(tmp_path / "absent" / "x.json")
        assert names(tmp_path) == []

    def test_a_file_taken_for_a_folder(self, tmp_path, function):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="there is no folder"):
            function(tmp_path / "file" / "x.json")

    def test_a_folder_that_cannot_be_written(self, tmp_path, function, monkeypatch):
        def denied(**_options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", denied)  # root may write anywhere
        with pytest.raises(InputError, match="Permission denied; choose another path"):
            function(tmp_path / "x.json")

    def test_a_file_that_is_read_only(self, tmp_path, function, monkeypatch):
        (tmp_path / "x.json").write_bytes(b"old")
        monkeypatch.setattr(os, "access", lambda *_args: False)
        with pytest.raises(InputError, match="the file is read-only"):
            function(tmp_path / "x.json")
        assert (tmp_path / "x.json").read_bytes() == b"old"


def test_the_check_changes_nothing(tmp_path):
    check_writable(tmp_path / "new.json")
    assert names(tmp_path) == []
    (tmp_path / "old.json").write_bytes(b"old")
    check_writable(tmp_path / "old.json")
    assert (tmp_path / "old.json").read_bytes() == b"old"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_permissions_are_kept(tmp_path):
    private = tmp_path / "private"
    private.write_text("old")
    private.chmod(0o600)
    write_whole(private, b"new")
    assert private.stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    received = []
    reader.start()
    write_whole(pipe, b"through")
    reader.join()
    assert received == [b"through"]
    assert pipe.is_fifo()


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(InputError, match="too long"):
        check_writable(tmp_path / ("x" * 300))
    write_whole(tmp_path / ("x" * 250), b"fits")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_behind_a_link_that_leads_to_no_path():
    """As /dev/stdout is, where standard output is a pipe."""
    reader, writer = os.pipe()
    write_whole(f"/dev/fd/{writer}", b"whole")
    assert os.read(reader, 9) == b"whole"
    os.close(reader)
    os.close(writer)
