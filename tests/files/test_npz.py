import io
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy_format

from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.weights.weight_files import read_weights


def member(shape, dtype="<f4", content=b""):
    """An .npy file with a header of one's own choice."""
    file = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": dtype}
    npy_format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("saver", [np.savez, np.savez_compressed])
def test_arrays_are_read(tmp_path, saver):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.eye(3, dtype="i4"))}
    saver(tmp_path / "net.npz", **arrays)
    read = read_weights(tmp_path / "net.npz")
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


def test_object_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "net.npz", a=np.array([{}, None], dtype=object))
    with pytest.raises(InputError, match=r"array 'a' holds Python objects"):
        read_weights(tmp_path / "net.npz")


@pytest.mark.parametrize(
    "shape", [(10**6, 10**6), (3, 3), (10**30,), (2**32, 2**32), (-1, 4), (0,)]
)
def test_a_shape_that_the_bytes_do_not_fill_is_refused(tmp_path, shape):
    path = archive(tmp_path / "net.npz", a=member(shape, content=bytes(16)))
    with pytest.raises(
        InputError, match=r"array 'a' claims shape .* the 16 bytes that the file has"
    ):
        read_weights(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "net.npz", a=np.zeros((1000, 1000)))
    assert (tmp_path / "net.npz").stat().st_size < 20_000
    read_weights(tmp_path / "net.npz")
    monkeypatch.setattr(memory, "available_memory", lambda: 10**6)
    with pytest.raises(InputError, match=r"holds 0.0 GB, more than the 0.0 GB of memory"):
        read_weights(tmp_path / "net.npz")


def test_other_members_are_refused(tmp_path):
    path = archive(tmp_path / "net.npz", a=b"no array")
    with pytest.raises(InputError, match=r"net.npz"):
        read_weights(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "text")
    with pytest.raises(InputError, match=r"'readme.txt' is no array"):
        read_weights(path)
