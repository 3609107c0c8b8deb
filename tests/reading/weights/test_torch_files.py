import argparse
import collections
import datetime
import decimal
import os
import pickle
import uuid
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.weights.torch_files import Unread, read_torch
from clusterability.reading.weights.weight_files import read_weights

MARKER = "CLUSTERABILITY_TEST_RAN_CODE"


class Attack:
    def __reduce__(self):
        return os.putenv, (MARKER, "1")


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_are_read(tmp_path, zipped):
    state = nn.Linear(3, 2).state_dict()
    path = save(tmp_path / "net.pt", state, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_weights(path)["weight"], state["weight"])


def test_a_compressed_archive_is_read(tmp_path):
    path = save(tmp_path / "net.pt", {"w": torch.arange(1000.0).reshape(10, 100)})
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member), zipfile.ZIP_DEFLATED)
    assert torch.equal(read_weights(packed)["w"], torch.arange(1000.0).reshape(10, 100))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, zipped):
    path = save(tmp_path / "net.pt", {"w": Attack()}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"pickle that would run code \(\w+\.putenv\); save the"):
        read_weights(path)
    assert MARKER not in os.environ


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path, protocol):
    path = tmp_path / "net.bin"
    path.write_bytes(pickle.dumps(Attack(), protocol))
    with pytest.raises(InputError, match=r"net.bin"):
        read_weights(path)
    assert MARKER not in os.environ


def test_other_objects_are_named(tmp_path):
    path = save(tmp_path / "net.pt", {"args": Fraction(1, 2), "w": torch.ones(2, 2)})
    with pytest.raises(InputError, match=r"would run code \(fractions.Fraction\)"):
        read_weights(path)


def test_a_whole_module_is_named(tmp_path):
    path = save(tmp_path / "net.pt", nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(
        InputError, match=r"a whole pickled module \(torch.nn.*\).*torch.save\(model.state_dict"
    ):
        read_weights(path)


def test_a_torchscript_archive_is_named(tmp_path):
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for member in ("data.pkl", "constants.pkl", "code/net.py"):
            archive.writestr(f"net/{member}", b"x")
    with pytest.raises(InputError, match=r"is a TorchScript archive, which holds code"):
        read_weights(path)


def test_another_archive_is_named(tmp_path):
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"x")
    with pytest.raises(InputError, match=r"zip archive that torch.save did not write"):
        read_weights(path)


@pytest.mark.parametrize("content", [[torch.ones(2, 2)], torch.ones(2, 2), 3])
def test_what_is_no_mapping_is_named(tmp_path, content):
    with pytest.raises(InputError, match=f"holds a {type(content).__name__}, expected a state"):
        read_weights(save(tmp_path / "net.pt", content))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_view_larger_than_its_storage_is_refused(tmp_path, zipped):
    huge = torch.ones(1, 1).expand(100_000, 100_000)
    state = {"state_dict": {"w": huge}}
    path = save(tmp_path / "net.pt", state, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"'w' in .* claims 40000000000 bytes, but the file has 4"):
        read_weights(path)


def test_tied_weights_are_no_expansion(tmp_path):
    weight = torch.ones(3, 3)
    assert len(read_weights(save(tmp_path / "net.pt", {"a": weight, "b": weight.T}))) == 2


def test_more_than_fits_into_memory_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "net.pt", {"w": torch.ones(100, 100)})
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"more than the 0.0 GB of memory available"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"\x80" + bytes(range(200, 256)), b"\x80\x04\x95" + bytes(20)])
def test_what_is_not_known_to_run_code_is_not_said_to(tmp_path, content):
    (tmp_path / "net.bin").write_bytes(content)
    with pytest.raises(InputError, match="is not a file of tensors that PyTorch can read safely"):
        read_weights(tmp_path / "net.bin")


@pytest.mark.parametrize("zipped", [True, False])
def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path, zipped):
    levels = b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(40))
    bomb = b"\x80\x02})q\x00" + levels + b"K\x01s."
    path = tmp_path / "net.pt"
    if zipped:
        torch.save({}, tmp_path / "empty.pt")
        with zipfile.ZipFile(tmp_path / "empty.pt") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, bomb if name.endswith("data.pkl") else old.read(name))
    else:
        path.write_bytes(bomb)
    with pytest.raises(InputError, match=r"not what torch\.save writes: .* very long to hash"):
        read_weights(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_harmless_objects_beside_the_weights_are_passed_over(tmp_path, zipped):
    state = {"fc.weight": torch.rand(3, 2)}
    nested = collections.defaultdict(list, {"loss": [np.float32(0.5)]})
    beside = {
        "best": np.float64(0.25),
        "epoch": np.int64(3),
        "args": argparse.Namespace(lr=np.float32(0.1), out=Path("runs")),
        "when": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "took": datetime.timedelta(3),
        "history": nested,
        "confusion": np.eye(3),
        "last": collections.deque([0.5], maxlen=3),
        "frozen": frozenset(["fc"]),
        "epochs": range(3),
        "run": uuid.UUID(int=3),
        "rate": decimal.Decimal("0.1"),
    }
    path = tmp_path / "net.pt"
    content = {"model": state, **beside}
    options = {"_use_new_zipfile_serialization": zipped}
    torch.save(content, path, **options)
    found = read_torch(path)
    assert torch.equal(found["model"]["fc.weight"], state["fc.weight"])
    assert type(found["best"]) is type(found["args"]) is Unread
    torch.save({"model": state, "args": argparse.Namespace(evil=Attack())}, path, **options)
    with pytest.raises(InputError, match="would run code"):
        read_torch(path)


def test_arrays_among_tensors_are_not_passed_over(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"a.weight": torch.rand(3, 2), "b.weight": np.ones((4, 3))}, path)
    with pytest.raises(InputError, match=r"'b.weight' in .* is a NumPy array among tensors; save"):
        read_torch(path)


def test_objects_that_stand_for_nothing_take_no_memory(tmp_path):
    """A scalar of a terabyte, an encoding that takes quadratic time: neither is made."""

    class Huge:
        def __reduce__(self):
            return np.dtype, ("V1000000000000",)

    path = tmp_path / "net.pt"
    torch.save({"fc.weight": torch.rand(3, 2), "huge": Huge()}, path)
    assert type(read_torch(path)["huge"]) is Unread
