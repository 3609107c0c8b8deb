import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from clusterability.datasets import DATASETS, DatasetEntry, available, fetch, load_dataset
from clusterability.datasets.dataset import Split
from clusterability.errors import InputError
from data_folders import alone, small_base

DATA = os.environ.get("CLUSTERABILITY_DATA")

NAMES = """mnist fashion-mnist cifar-10 digits mnist-7x7 mnist-halves-same mnist-halves-diff
mnist-stack-same mnist-stack-diff fashion-halves-same fashion-halves-diff fashion-stack-same
fashion-stack-diff random random-memorization polynomials lines lines-mnist lines-mnist-sep
random-published memorization-published polynomials-published
lines-published lines-mnist-published lines-mnist-sep-published
mnist-halves-same-published mnist-stack-same-published mnist-halves-diff-published
mnist-stack-diff-published fashion-halves-same-published fashion-halves-diff-published
fashion-stack-same-published fashion-stack-diff-published"""


def test_the_names():
    assert sorted(DATASETS) == sorted(NAMES.split())
    assert all(entry.name == name for name, entry in DATASETS.items())


def test_every_entry_has_a_source_and_a_license_and_its_bases():
    for entry in DATASETS.values():
        assert entry.title
        assert entry.source
        assert entry.license
        assert (entry.files is None) != (entry.make is None)
        assert all(base in DATASETS for base in entry.bases)
        assert bool(entry.checksums) == (entry.files is not None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, e in DATASETS.items() if not e.files and not e.bases])
def test_entries_say_what_is_made(name):
    check_entry(load_dataset(name))


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs the data that CLUSTERABILITY_DATA names")
@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        "fashion-mnist",
        "mnist-7x7",
        "mnist-halves-diff",
        "fashion-stack-same",
        "lines-mnist",
    ],
)
def test_entries_say_what_is_loaded(name):
    data = load_dataset(name, data_dir=DATA, download=False)
    check_entry(data)
    assert data.train.x.max() == 255 or name == "mnist-7x7"


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs the data that CLUSTERABILITY_DATA names")
def test_mnist_is_mnist():
    data = load_dataset("mnist", data_dir=DATA, download=False)
    assert data.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(data.test.y).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert data.train.x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert data.train.x.std() / 255 == pytest.approx(0.3081, abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs the data that CLUSTERABILITY_DATA names")
def test_separate_mixture_is_half_of_each():
    data = load_dataset("lines-mnist-sep", data_dir=DATA, download=False)
    mnist = load_dataset("mnist", data_dir=DATA, download=False)
    counts = np.bincount(data.train.y)
    np.testing.assert_array_equal(counts[5:], np.bincount(mnist.train.y)[5:])
    np.testing.assert_allclose(counts[:5] / 6000, 1, atol=0.06)


def check_entry(data):
    entry = DATASETS[data.name]
    sizes = len(data.train.y), 0 if data.test is None else len(data.test.y)
    assert sizes == (entry.n_train, entry.n_test)
    splits = [split for split in (data.train, data.test) if split is not None]
    for split in splits:
        assert split.x.shape == (len(split.y), *entry.shape)
        assert split.x.flags.c_contiguous
        assert split.x.flags.writeable
    if entry.regression:
        assert data.n_classes is None
        assert data.train.y.shape[1] == entry.n_outputs
    else:
        assert data.n_classes == entry.n_outputs == len(np.unique(data.train.y))
        assert data.train.y.dtype == np.int64
    assert data.reshuffled == entry.reshuffled


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mnits", "'mnist'"),
        ("MNIST", "'mnist'"),
        ("fashion_mnist", "'fashion-mnist'"),
        ("line", "'lines'"),
    ],
)
def test_an_unknown_name_gives_the_nearest(name, hint):
    for function in (load_dataset, available, fetch):
        with pytest.raises(InputError, match=f"no data set '{name}'.*did you mean {hint}"):
            function(name)


def test_an_unknown_name_like_none(tmp_path):
    with pytest.raises(
        InputError, match=r"expected a path to an \.npz file or one of .*-published$"
    ):
        load_dataset("zzz")
    with pytest.raises(InputError, match="is a folder"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("name", [None, 3, b"mnist", ["mnist"], np.zeros(2)])
def test_names_that_are_none(name):
    for function in (load_dataset, available, fetch):
        with pytest.raises(InputError, match=r"the data set is .*, expected a name"):
            function(name)


@pytest.mark.parametrize("name", ["x" * 5000, "x\0"])
def test_names_that_no_file_has(name):
    with pytest.raises(InputError, match="there is no data set"):
        load_dataset(name)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True, "x" * 1000])
def test_seeds_that_are_none(seed):
    with pytest.raises(InputError, match=r"seed is .*, expected a whole number") as error:
        load_dataset("digits", seed=seed)
    assert len(str(error.value)) < 200


def test_large_seeds_and_numpys():
    assert load_dataset("random-memorization", seed=2**200).train.y.any()
    one, same = (load_dataset("random-memorization", seed=s).train.y for s in (3, np.int64(3)))
    np.testing.assert_array_equal(one, same)


def test_available(monkeypatch, tmp_path):
    data_dir, _ = small_base(monkeypatch, tmp_path)
    assert available("mnist") is None
    assert available("lines-mnist") is None
    assert available("mnist", data_dir) == data_dir / "mnist"
    assert available("lines-mnist", data_dir) == data_dir / "mnist"
    assert available("fashion-stack-same", data_dir) is None
    assert available("random").is_dir()
    assert available("digits").is_file()


def test_missing_files_of_a_base(monkeypatch, tmp_path):
    alone(monkeypatch, tmp_path)
    with pytest.raises(InputError, match="files of mnist are not here"):
        load_dataset("lines-mnist", download=False)


def test_a_set_of_ones_own_in_the_registry(monkeypatch):
    def make(seed, bases):
        x = np.full((4, 1, 2, 2), seed, np.uint8)
        assert [base.name for base in bases] == ["digits"]
        return Split(x, np.arange(4)), None

    entry = DatasetEntry(
        "mine", "four images", "MIT", 4, 0, (1, 2, 2), 4, make=make, bases=("digits",)
    )
    monkeypatch.setitem(DATASETS, "mine", entry)
    data = load_dataset("mine", seed=7)
    assert (data.name, data.n_classes, data.train.x.max()) == ("mine", 4, 7)


def test_neither_files_nor_make(monkeypatch):
    monkeypatch.setitem(DATASETS, "mine", DatasetEntry("mine", "nothing", "MIT"))
    with pytest.raises(InputError, match="neither files nor make"):
        load_dataset("mine")


def test_an_unknown_base(monkeypatch):
    entry = replace(DATASETS["lines-mnist"], name="mine", bases=("mnits",))
    monkeypatch.setitem(DATASETS, "mine", entry)
    for function in (load_dataset, available, fetch):
        with pytest.raises(InputError, match="no data set 'mnits'"):
            function("mine")


@pytest.mark.slow
def test_listing_does_not_wait_for_torch():
    code = (
        "import sys; from clusterability.datasets import available, load_dataset;"
        "available('mnist'); load_dataset('digits'); "
        "assert not {'torch', 'scipy', 'matplotlib', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
