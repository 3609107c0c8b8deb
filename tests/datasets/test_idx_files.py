import gzip
import re
import tracemalloc

import numpy as np
import pytest

from clusterability.datasets import available, load_dataset, places
from clusterability.datasets.idx_files import parse_idx
from clusterability.errors import InputError
from data_folders import FILES, alone, expect, idx_bytes, small_base, small_images, write_idx


@pytest.fixture
def base(monkeypatch, tmp_path):
    return small_base(monkeypatch, tmp_path)


def load(data_dir, name="mnist"):
    return load_dataset(name, data_dir=data_dir, download=False)


def test_images_and_labels_are_read(base):
    data_dir, arrays = base
    data = load(data_dir)
    np.testing.assert_array_equal(data.train.x[:, 0], arrays[FILES[0]])
    np.testing.assert_array_equal(data.train.y, arrays[FILES[1]])
    np.testing.assert_array_equal(data.test.x[:, 0], arrays[FILES[2]])
    np.testing.assert_array_equal(data.test.y, arrays[FILES[3]])
    assert (data.train.x.dtype, data.train.y.dtype, data.n_classes) == (np.uint8, np.int64, 10)
    assert data.train.x.flags.writeable


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_layouts(monkeypatch, tmp_path, folder, suffix):
    alone(monkeypatch, tmp_path)
    arrays = small_images()
    expect(monkeypatch, arrays)
    write_idx(tmp_path / folder, arrays, suffix)
    assert available("mnist", tmp_path) == tmp_path / folder
    np.testing.assert_array_equal(load(tmp_path).test.y, arrays[FILES[3]])


def test_contents_count_and_not_how_they_are_compressed(base):
    data_dir, arrays = base
    path = data_dir / "mnist" / f"{FILES[0]}.gz"
    path.write_bytes(gzip.compress(idx_bytes(arrays[FILES[0]]), 9, mtime=1))
    load(data_dir)


def test_folders_are_searched_in_order(monkeypatch, tmp_path):
    cache = alone(monkeypatch, tmp_path)
    arrays = small_images()
    expect(monkeypatch, arrays)
    named, given, system = tmp_path / "named", tmp_path / "given", places.SYSTEM
    given.mkdir()
    monkeypatch.setenv(places.VARIABLE, str(named))
    assert available("mnist", given) is None
    for root in (system, cache, named, given):
        write_idx(root / "mnist", arrays)
        assert available("mnist", given) == root / "mnist"


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_folder_without_all_files_is_not_passed_over(
    base, monkeypatch, download, by_variable
):
    data_dir, _ = base
    (data_dir / "mnist" / f"{FILES[3]}.gz").unlink()
    assert available("mnist", data_dir) is None
    if by_variable:
        monkeypatch.setenv(places.VARIABLE, str(data_dir))
    with pytest.raises(InputError, match=rf"only some .* there is no {FILES[3]}; .*--download"):
        load_dataset("mnist", data_dir=None if by_variable else data_dir, download=download)


def test_a_folder_without_all_files_does_not_hide_another(base):
    data_dir, arrays = base
    (data_dir / "mnist" / f"{FILES[3]}.gz").unlink()
    write_idx(places.cache_folder() / "mnist", arrays)
    np.testing.assert_array_equal(load(data_dir).test.y, arrays[FILES[3]])


def test_nothing_of_the_set_in_a_named_folder(base):
    data_dir, _ = base
    with pytest.raises(InputError, match=r"are not here, .*the folder that holds fashion-mnist/"):
        load(data_dir, "fashion-mnist")


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
def test_the_folder_of_the_files_itself(monkeypatch, tmp_path, folder):
    alone(monkeypatch, tmp_path)
    arrays = small_images()
    expect(monkeypatch, arrays)
    write_idx(tmp_path / folder, arrays)
    monkeypatch.chdir(tmp_path / folder)
    for data_dir in (tmp_path / folder, "."):
        np.testing.assert_array_equal(load(data_dir).test.y, arrays[FILES[3]])


def break_file(path, how, content):
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "web page": b"<!DOCTYPE html><html>Not found</html>",
        "empty": b"",
        "flipped bit": gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "too short": gzip.compress(content[:-1]),
        "too long": gzip.compress(content + b"\0"),
        "checksum of gzip": whole[:-8] + bytes(8),
    }
    path.write_bytes(damaged[how])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("truncated", "truncated, corrupt"),
        ("web page", "truncated, corrupt.*BadGzipFile"),
        ("empty", "is empty"),
        ("flipped bit", "is not the published file: it holds contents of SHA-256 .* expected"),
        ("too short", "holds 47,055 bytes, expected 47,056 once decompressed"),
        ("too long", "holds more bytes, expected 47,056"),
        ("checksum of gzip", "truncated, corrupt"),
    ],
)
@pytest.mark.parametrize("download", [False, True])
def test_a_wrong_file_is_named_and_not_passed_over(base, how, reason, download):
    data_dir, arrays = base
    path = data_dir / "mnist" / f"{FILES[0]}.gz"
    break_file(path, how, idx_bytes(arrays[FILES[0]]))
    with pytest.raises(InputError, match=reason) as error:
        load_dataset("mnist", data_dir=data_dir, download=download)
    assert str(path) in str(error.value)
    assert path.exists()


def test_files_of_another_set_are_refused(base):
    data_dir, _ = base
    write_idx(data_dir / "mnist", small_images(seed=1))
    with pytest.raises(InputError, match=r"not the published file.*download it again"):
        load(data_dir)


@pytest.mark.slow
def test_a_gzip_bomb_is_not_inflated(base):
    data_dir, _ = base
    path = data_dir / "mnist" / f"{FILES[0]}.gz"
    path.write_bytes(gzip.compress(bytes(2 * 10**8), 1))
    tracemalloc.start()
    with pytest.raises(InputError, match="holds more bytes"):
        load(data_dir)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\0",
        b"\0\0\x0d\x01\0\0\0\x01\0",
        b"\0\0\x08\x03\0\0\0\x01",
        b"\x08\x03" + bytes(20),
    ],
)
def test_wrong_headers(data, tmp_path):
    with pytest.raises(InputError, match="expected an IDX file"):
        parse_idx(bytearray(data), tmp_path / "x")


@pytest.mark.parametrize("n", [4, 6, 2**31])
def test_sizes_that_do_not_fit(n, tmp_path):
    header = b"\0\0\x08\x01" + n.to_bytes(4, "big")
    with pytest.raises(InputError, match=re.escape(f"claims shape ({n},)")):
        parse_idx(bytearray(header + bytes(5)), tmp_path / "x")


@pytest.mark.parametrize("data_dir", ["missing", "x" * 5000, "x\0", 3, b"/", "file"])
def test_a_data_dir_that_is_none(monkeypatch, tmp_path, data_dir):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="which is no folder; name the folder"):
        load(data_dir)


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_variable_that_names_no_folder_is_shown(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / folder))
    with pytest.raises(InputError, match=rf"are not here.*{re.escape(str(tmp_path / folder))}"):
        load(None)


@pytest.mark.usefixtures("base")
def test_a_variable_that_is_too_long(monkeypatch):
    monkeypatch.setenv(places.VARIABLE, "x" * 5000)
    for function in (load, lambda _: available("mnist")):
        with pytest.raises(InputError, match=r"cannot look for .*name too long.*data_dir"):
            function(None)
