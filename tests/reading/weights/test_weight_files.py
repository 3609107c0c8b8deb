import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clusterability.errors import InputError
from clusterability.files.checks import explain_damage
from clusterability.reading.weights.weight_files import READERS, read_weights

STATE = {"l1.weight": torch.arange(6.0).reshape(2, 3), "l1.bias": torch.ones(2)}


def write(path, state):
    if path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".npz", ".PT"])
def test_what_is_written_is_read(tmp_path, suffix):
    read = read_weights(write(tmp_path / f"net{suffix}", STATE))
    assert read.keys() == STATE.keys()
    assert all(torch.equal(torch.as_tensor(read[name]), STATE[name]) for name in STATE)


def test_a_path_may_be_a_string(tmp_path):
    assert read_weights(str(write(tmp_path / "net.pt", STATE))).keys() == STATE.keys()


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"there is no file '.*none\.pt'"):
        read_weights(tmp_path / "none.pt")


def test_a_path_that_no_system_has():
    with pytest.raises(InputError, match=r"a\\x00b.pt'"):
        read_weights("a\0b.pt")


def test_a_folder(tmp_path):
    folder = tmp_path / "net.pt"
    folder.mkdir()
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        read_weights(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "net.pt")
    with pytest.raises(InputError, match="is no regular file"):
        read_weights(tmp_path / "net.pt")


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "net.pt", STATE)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"net.pt' cannot be read \(Permission denied\)"):
        read_weights(path)


@pytest.mark.parametrize("suffix", READERS)
def test_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    path.touch()
    with pytest.raises(InputError, match=r"is empty \(0 bytes\)"):
        read_weights(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<HTML><body>404", "is a web page"),
        (b"Not found", "net"),
        (bytes(range(256)) * 20, "net"),
        (b"PK\x03\x04" + bytes(300), "net"),
        (b"\x80\x02}q\x00", "net"),
        (b"\x80", "net"),
        (b"{", "net"),
        (b"[1, 2]", "net"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "net"),
        (b"[" * 100_000, "net"),
    ],
)
@pytest.mark.parametrize("suffix", READERS)
def test_other_content_is_refused_in_one_sentence(tmp_path, suffix, content, message):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_weights(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file(tmp_path, suffix, part):
    path = write(tmp_path / f"net{suffix}", {"w": torch.ones(40, 50)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match="truncated"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.txt", "the suffix '.txt', expected .onnx, .keras, .h5 or, for weights alone, one of"),
        ("net", "has the suffix '', expected .onnx"),
        ("net.index.json", "has the suffix '.json'"),
    ],
)
def test_other_suffixes(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / name)


def test_paths_are_shown_escaped(tmp_path):
    with pytest.raises(InputError, match=r"\\x1b\[2J\.pt"):
        read_weights(tmp_path / "\x1b[2J.pt")


@pytest.fixture
def latin(tmp_path):
    """A folder whose name is no UTF-8."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try:
        Path(folder).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    return Path(folder)


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".npz"])
def test_a_path_need_not_be_utf8(tmp_path, latin, suffix):
    path = write(tmp_path / f"net{suffix}", STATE).rename(latin / f"net{suffix}")
    read = read_weights(path)
    assert all(torch.equal(torch.as_tensor(read[name]), STATE[name]) for name in STATE)


def test_the_older_format_of_torch_at_a_path_that_is_not_utf8(latin):
    with (latin / "net.bin").open("wb") as file:
        torch.save(STATE, file, _use_new_zipfile_serialization=False)
    assert read_weights(latin / "net.bin").keys() == STATE.keys()


def test_safetensors_say_that_the_path_must_be_utf8(tmp_path, latin):
    path = write(tmp_path / "net.safetensors", STATE).rename(latin / "net.safetensors")
    with pytest.raises(InputError, match=r"caf\\udce9.*that is not UTF-8, .*; rename the file or"):
        read_weights(path)


def test_messages_hold_no_addresses(tmp_path):
    path = tmp_path / "net.pt"
    with (
        pytest.raises(InputError, match=r"\(ValueError: no <object object>\)"),
        explain_damage(path),
    ):
        raise ValueError(f"no {object()}")
