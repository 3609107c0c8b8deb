import h5py
import numpy as np
import pytest

from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.keras.hdf5 import check_hdf5, model_config


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["model_weights/dense/kernel"] = np.ones((3, 4), dtype="f4")
        file["model_weights/dense/bias"] = np.ones(4, dtype="f4")
        file["seed"] = np.uint32(3)
    return tmp_path / "net.h5"


def test_numbers_are_counted(path):
    assert check_hdf5(path, path) == 17
    with path.open("rb") as file:
        assert check_hdf5(path, file) == 17


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/seed"), h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/no")]
)
def test_links_are_not_followed(path, link):
    with h5py.File(path, "a") as file:
        file["model_weights/dense/odd"] = link
    with pytest.raises(InputError, match=r"'/model_weights/dense/odd' in .* is a link"):
        check_hdf5(path, path)


def test_a_cycle_of_groups_is_refused(path):
    with h5py.File(path, "a") as file:
        file["model_weights/dense/again"] = file["model_weights"]
    with pytest.raises(InputError, match=r"the group '/model_weights/dense/again' .* twice"):
        check_hdf5(path, path)


def test_groups_too_deep_are_refused(path):
    with h5py.File(path, "a") as file:
        file.create_group("/".join("abcdefgh" * 10))
    with pytest.raises(InputError, match=r"lies too deep"):
        check_hdf5(path, path)


def test_numbers_in_other_files_are_refused(path, tmp_path):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", shape=(4,))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("virtual", layout)
    with pytest.raises(InputError, match=r"'/virtual' in .* has its numbers in other files"):
        check_hdf5(path, path)
    with h5py.File(path, "a") as file:
        del file["virtual"]
        file.create_dataset("outside", (4,), "f4", external=[(tmp_path / "raw", 0, 16)])
    with pytest.raises(InputError, match=r"'/outside' in .* has its numbers in other files"):
        check_hdf5(path, path)


@pytest.mark.parametrize(
    "value", [np.array([b"text"]), "text", h5py.Empty("f4"), np.zeros(2, dtype="c8")]
)
def test_what_holds_no_real_numbers_is_refused(path, value):
    with h5py.File(path, "a") as file:
        file["odd"] = value
    with pytest.raises(InputError, match=r"'/odd' in .* holds no numbers"):
        check_hdf5(path, path)


@pytest.mark.parametrize("options", [{}, {"chunks": (1000,)}, {"compression": "gzip"}])
def test_more_bytes_than_the_file_has_are_refused(path, options):
    with h5py.File(path, "a") as file:
        file.create_dataset("huge", (10**12,), "f4", **options)
    with pytest.raises(InputError, match=r"'/huge' in .* claims 4000000000000 bytes, but .* has 0"):
        check_hdf5(path, path)


def test_compressed_weights_are_read_while_they_fit(path, monkeypatch):
    with h5py.File(path, "a") as file:
        file.create_dataset("zeros", data=np.zeros(500_000), compression="gzip")
    assert check_hdf5(path, path) == 500_017
    monkeypatch.setattr(memory, "available_memory", lambda: 10**6)
    with pytest.raises(InputError, match=r"net\.h5' holds 0\.0 GB, more than"):
        check_hdf5(path, path)


def test_the_configuration_is_text_or_absent(path):
    assert model_config(path) is None
    for text in ("{}", b"{}", np.bytes_(b"{}")):
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = text
        assert model_config(path) == b"{}"


@pytest.mark.parametrize("value", [3, np.arange(4), ["{}", "{}"]])
def test_a_configuration_that_is_no_text_is_refused(path, value):
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = value
    with pytest.raises(InputError, match=r"the attribute model_config of"):
        model_config(path)
