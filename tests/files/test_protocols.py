import os
import pickle
from collections import Counter, OrderedDict
from fractions import Fraction
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.files.protocols import as_protocol_2
from clusterability.reading.weights.weight_files import read_weights

TWICE = ["conv", 2.5]
OBJECTS = [
    {"a": [1, -1, 2**40, None, True], ("b", 2): 1.5, "a longer name" * 40: b"\x00\xff" * 200},
    [OrderedDict(a=1), OrderedDict(b=2), "collections", "OrderedDict", Counter("abca")],
    [TWICE, TWICE, {"nested": [TWICE, ()]}, "\ud800 \U0001f600 \n", ""],
    [Fraction(1, 3), Fraction, PurePosixPath("a/b"), np.arange(6.0), np.float64(3)],
    [[str(i) for i in range(300)]] * 2,
]


@pytest.mark.parametrize("given", OBJECTS)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_the_objects_are_the_same(given, protocol):
    rewritten = as_protocol_2(pickle.dumps(given, protocol=protocol))
    found = pickle.loads(rewritten)
    assert repr(found) == repr(given)
    assert rewritten[1] == 2


def test_what_is_shared_stays_shared():
    first, second, _, _ = pickle.loads(as_protocol_2(pickle.dumps(OBJECTS[2], protocol=4)))[:4]
    assert first is second


def state():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).state_dict()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("as_archive", [True, False])
def test_weights_are_read_from_every_protocol(tmp_path, protocol, as_archive):
    beside = {"epoch": np.float64(3), "history": [np.arange(3)], "path": PurePosixPath("a")}
    path = tmp_path / "model.pt"
    torch.save(
        {"state_dict": state(), "beside": beside},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=as_archive,
    )
    found = read_weights(path)["state_dict"]
    assert list(found) == list(state())
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


class Calling:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("as_archive", [True, False])
def test_nothing_is_run(tmp_path, monkeypatch, protocol, as_archive):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    content = {"weight": torch.ones(2, 2), "other": Calling()}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=as_archive)
    with pytest.raises(InputError, match=r"would run code \((posix|nt).mkdir\)"):
        read_weights(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [4, 5])
def test_damaged_pickles_are_refused(tmp_path, protocol):
    path = tmp_path / "model.pt"
    torch.save(state(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for place in range(0, 600, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            read_weights(path)
        except InputError:
            continue
