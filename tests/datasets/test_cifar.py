import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest

from cifar_folders import NAMES, binary_batches, old_pickle, samples
from clusterability.datasets import DATASETS, load_dataset
from clusterability.datasets.cifar_pickles import read_batch
from clusterability.errors import InputError
from data_folders import alone

N = 20


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where either layout may be written."""
    alone(monkeypatch, tmp_path)
    entry = DATASETS["cifar-10"]
    files = replace(entry.files, n_per_batch=N)
    monkeypatch.setitem(DATASETS, "cifar-10", replace(entry, files=files))
    return tmp_path


def load(folder):
    return load_dataset("cifar-10", data_dir=folder, download=False)


def write_binary(folder):
    batches, x, y = binary_batches(N)
    (folder / "cifar-10-batches-bin").mkdir()
    for name, content in batches.items():
        (folder / "cifar-10-batches-bin" / name).write_bytes(content)
    return x, y


def write_python(folder, pickled):
    x, y = samples(N)
    (folder / "cifar-10-batches-py").mkdir()
    for i, name in enumerate(NAMES):
        rows = slice(i * N, (i + 1) * N)
        (folder / "cifar-10-batches-py" / name).write_bytes(pickled(x[rows], y[rows]))
    return x, y


def new_pickle(x, y, protocol=2):
    """As Python 3 writes the same for Python 2."""
    return pickle.dumps({b"data": x, b"labels": y.tolist(), b"filenames": [b"a.png"]}, protocol)


def check(data, x, y):
    images = x.reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(np.concatenate([data.train.x, data.test.x]), images)
    np.testing.assert_array_equal(np.concatenate([data.train.y, data.test.y]), y)
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.int64)
    assert data.train.x.flags.writeable


def test_binary_layout(folder):
    x, y = write_binary(folder)
    check(load(folder), x, y)


@pytest.mark.parametrize("pickled", [old_pickle, new_pickle], ids=["Python 2", "Python 3"])
def test_python_layout(folder, pickled):
    x, y = write_python(folder, pickled)
    check(load(folder), x, y)


def test_pickles_as_python_2_wrote_them_are_what_numpy_reads():
    x, y = samples(N)
    batch = pickle.loads(old_pickle(x, y), encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], x)
    assert batch[b"labels"] == y.tolist()


def test_the_folder_of_the_files_itself(folder, monkeypatch):
    x, y = write_python(folder, old_pickle)
    monkeypatch.chdir(folder / "cifar-10-batches-py")
    for data_dir in (folder / "cifar-10-batches-py", "."):
        check(load(data_dir), x, y)


def test_a_folder_without_all_files(folder):
    write_binary(folder)
    (folder / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    with pytest.raises(InputError, match=r"only some .* there is no test_batch\.bin; add"):
        load(folder)


@pytest.mark.parametrize("change", [-1, 1, -3073])
def test_wrong_size(folder, change):
    write_binary(folder)
    path = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes(content + b"x" if change > 0 else content[:change])
    with pytest.raises(InputError, match=r"data_batch_3\.bin' holds .* bytes, expected 61,460"):
        load(folder)


@pytest.mark.parametrize("label", [9, 10, 255])
def test_wrong_labels(folder, label):
    write_binary(folder)
    path = folder / "cifar-10-batches-bin" / "test_batch.bin"
    content = path.read_bytes()
    path.write_bytes(bytes([label if content[0] != label else 0]) + content[1:])
    with pytest.raises(InputError, match="are not CIFAR-10's"):
        load(folder)


class Marker:
    """Writes a file when it is unpickled, where anything is called."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def malicious(kind, path):
    if kind == "call":
        return pickle.dumps({b"data": Marker(path), b"labels": []}, 2)
    if kind == "call in Python 2":
        return b"cos\nsystem\n(S'touch " + str(path).encode() + b"'\ntR."
    if kind == "call by STACK_GLOBAL":
        return pickle.dumps(Marker(path), 4)
    if kind == "numpy function":
        return b"cnumpy\nfromfile\n(S'/etc/hostname'\ntR."
    if kind == "attribute of a known class":
        return pickle.dumps({b"data": np.ndarray.tofile}, 4)
    raise ValueError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "call",
        "call in Python 2",
        "call by STACK_GLOBAL",
        "numpy function",
        "attribute of a known class",
    ],
)
def test_nothing_in_a_pickle_is_called(tmp_path, kind):
    mark, path = tmp_path / "mark", tmp_path / "data_batch_1"
    path.write_bytes(malicious(kind, mark))
    with pytest.raises(InputError, match="UnpicklingError: it asks for"):
        read_batch(path, N)
    assert not mark.exists()


def test_a_large_number_in_the_memo_takes_no_memory(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**31) + b".")
    with pytest.raises(InputError, match="numbers an object 2147483648"):
        read_batch(path, N)


def doubled(n, memoized):
    """A tuple that holds the one below twice, ``n`` times over."""
    if not memoized:
        return b")" + b"2\x86" * n
    return b")\x94" + b"".join(b"h" + bytes([i, 104, i]) + b"\x86\x94" for i in range(n))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b")" + b"\x85" * 10**6, "more than 100 tuples in others"),
        (doubled(60, memoized=False), "uses a tuple twice"),
        (doubled(60, memoized=True), "uses a tuple twice"),
    ],
)
def test_tuples_that_cannot_be_hashed(tmp_path, key, reason):
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x04}" + key + b"Ns.")
    with pytest.raises(InputError, match=reason):
        read_batch(path, 10_000)


@pytest.mark.parametrize("protocol", range(5))
def test_every_protocol(tmp_path, protocol):
    x, y = samples(N)
    path = tmp_path / "data_batch_1"
    names = [f"{i}.png".encode() for i in range(N)]
    batch = {b"data": x[:N], b"labels": y[:N].tolist(), b"filenames": names}
    path.write_bytes(pickle.dumps(batch, protocol))
    pixels, labels = read_batch(path, N)
    np.testing.assert_array_equal(pixels, x[:N])
    np.testing.assert_array_equal(labels, y[:N])


def test_a_known_class_cannot_be_changed(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02cnumpy\nndarray\nN}X\x01\x00\x00\x00aK\x01s\x86b.")
    with pytest.raises(InputError, match="corrupt"):
        read_batch(path, N)


def batches():
    x, y = samples(N)
    x, y = x[:N], y[:N]
    whole = old_pickle(x, y)
    labels = y.tolist()
    return {
        "truncated": whole[:-100],
        "web page": b"<!DOCTYPE html>",
        "no dictionary": pickle.dumps([1, 2], 2),
        "no array": pickle.dumps({b"data": 1, b"labels": labels}, 2),
        "no labels": pickle.dumps({b"data": x}, 2),
        "another shape": new_pickle(x.reshape(-1, 1024), y),
        "another dtype": new_pickle(x.view(np.int8), y),
        "floats": new_pickle(x.astype(np.float32), y),
        "columns first": new_pickle(np.asfortranarray(x), y),
        "objects": new_pickle(x[:, :2].astype(object), y),
        "few labels": new_pickle(x, y[:-1]),
        "high labels": new_pickle(x, np.where(y == 3, 10, y)),
        "labels of text": pickle.dumps({b"data": x, b"labels": ["1"] * N}, 2),
        "labels of truth": pickle.dumps({b"data": x, b"labels": [True] * N}, 2),
        "too large": whole + bytes(200_000),
    }


@pytest.mark.parametrize("what", list(batches()))
def test_other_contents(tmp_path, what):
    path = tmp_path / "data_batch_1"
    path.write_bytes(batches()[what])
    with pytest.raises(InputError, match="data_batch_1"):
        read_batch(path, N)


def test_array_that_claims_more_than_it_holds(tmp_path):
    x, y = samples(N)
    path = tmp_path / "data_batch_1"
    content = old_pickle(x[: N - 1], y[:N])
    path.write_bytes(content.replace(struct.pack("<i", N - 1), struct.pack("<i", N), 1))
    with pytest.raises(InputError, match="data_batch_1"):
        read_batch(path, N)
