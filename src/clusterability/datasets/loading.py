"""Loading and downloading of data sets, by name or from a file."""

from __future__ import annotations

import os
from pathlib import Path

from clusterability.arguments import did_you_mean, whole
from clusterability.datasets import places
from clusterability.datasets.dataset import Dataset
from clusterability.datasets.entry import DatasetEntry, StoredSet
from clusterability.datasets.registry import DATASETS
from clusterability.errors import InputError
from clusterability.shown import show_path, shown

Folder = str | os.PathLike[str]


def load_dataset(
    name_or_path: Folder,
    *,
    seed: int = 0,
    data_dir: Folder | None = None,
    download: bool = True,
    progress: bool = False,
) -> Dataset:
    """Load a data set of :data:`DATASETS`, or the user's own data from an ``.npz`` file.

    Files are looked for in ``data_dir``, in the folder that ``CLUSTERABILITY_DATA`` names, in the
    user's cache and in ``/usr/share/datasets``. If they are in none, they are downloaded into the
    cache.

    Args:
        name_or_path: a name, or a path to a file with the arrays x, y and perhaps test_x, test_y.
        seed: seed of the data sets that are made from one; the same seed gives the same bytes.
        data_dir: a folder that holds ``mnist/``, ``fashion-mnist/`` or ``cifar-10-batches-bin/``.
        download: whether missing files may be downloaded.
        progress: whether to show a bar while downloading, if standard error is a terminal.

    Raises:
        InputError: if the data set is unknown, its files can be neither found nor downloaded, or
            they differ from the published ones.

    >>> digits = load_dataset("digits")
    >>> digits.train.x.shape, digits.train.x.dtype, digits.n_classes
    ((1437, 1, 8, 8), dtype('uint8'), 10)
    """
    seed = whole("seed", seed, 0)
    if not isinstance(name_or_path, str | os.PathLike):
        raise _no_name_error(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in DATASETS:
        return _load(DATASETS[name_or_path], seed, data_dir, download, progress)
    path = Path(name_or_path)
    # For a name that is too long, os.path.exists returns False, but Path.exists raises an error.
    if path.suffix == ".npz" or os.path.exists(path):
        from clusterability.datasets.own_data import dataset_from_npz

        return dataset_from_npz(path)
    raise _unknown_set_error(str(name_or_path))


def available(name: str, data_dir: Folder | None = None) -> Path | None:
    """Return the folder of a data set's files, without reading them; None if some are missing.

    For a data set made from others, it is the folder of the last of these; for one made from the
    seed alone, the package's own folder; for a shipped one, its file.

    Raises:
        InputError: if the data set is unknown.

    >>> available("digits").name
    'digits.npz'
    """
    entry = _entry(name)
    if entry.files is not None:
        return _find_folder(entry.files, data_dir)
    bases = [available(base, data_dir) for base in entry.bases]
    if None in bases:
        return None
    return entry.shipped or (bases[-1] if bases else Path(__file__).parent)


def fetch(name: str, progress: bool = False, data_dir: Folder | None = None) -> None:
    """Download the missing files of a data set into the cache.

    Raises:
        InputError: if the data set is unknown, or its files cannot be downloaded.

    >>> fetch("digits")  # shipped: nothing is downloaded
    """
    entry = _entry(name)
    if entry.files is not None and _find_folder(entry.files, data_dir) is None:
        entry.files.fetch(places.cache_folder(), progress)
    for base in entry.bases:
        fetch(base, progress, data_dir)


def _load(
    entry: DatasetEntry, seed: int, data_dir: Folder | None, download: bool, progress: bool
) -> Dataset:
    if entry.files is not None:
        train, test = entry.files.read(
            _require_folder(entry, entry.files, data_dir, download, progress)
        )
    else:
        bases = [_load(_entry(b), seed, data_dir, download, progress) for b in entry.bases]
        if entry.make is None:
            raise InputError(f"data set {entry.name!r} has neither files nor make; give it one")
        train, test = entry.make(seed, bases)
    n_classes = None if entry.regression else entry.n_outputs
    return Dataset(entry.name, train, test, n_classes, entry.reshuffled, entry.source)


def _require_folder(
    entry: DatasetEntry, files: StoredSet, data_dir: Folder | None, download: bool, progress: bool
) -> Path:
    folder = _find_folder(files, data_dir)
    if folder is None:
        _check_whole(entry, files, data_dir)
    if folder is None and download:
        files.fetch(places.cache_folder(), progress)
        folder = _find_folder(files, data_dir)
    if folder is None:
        looked = ", ".join(show_path(root) for root in places.data_folders(data_dir))
        raise InputError(
            f"the files of {entry.name} are not here, looked for {files.folders[0]}/ in {looked}; "
            f"run clusterability datasets {entry.name} --download, or name the folder that "
            f"holds {files.folders[0]}/ with data_dir or CLUSTERABILITY_DATA"
        )
    return folder


def _check_whole(entry: DatasetEntry, files: StoredSet, data_dir: Folder | None) -> None:
    """Refuse a folder that the user named if it has only some of the files."""
    for root in places.named_folders(data_dir):
        found = files.find_incomplete(root)
        if found is not None:
            folder, missing = found
            raise InputError(
                f"{show_path(folder)} has only some of the files of {entry.name}, there is "
                f"no {', '.join(missing)}; add what is missing, or run clusterability datasets "
                f"{entry.name} --download"
            )


def _find_folder(files: StoredSet, data_dir: Folder | None) -> Path | None:
    for root in places.data_folders(data_dir):
        folder = files.find(root)
        if folder is not None:
            return folder
    return None


def _entry(name: str) -> DatasetEntry:
    if not isinstance(name, str):
        raise _no_name_error(name)
    if name not in DATASETS:
        raise _unknown_set_error(name)
    return DATASETS[name]


def _no_name_error(name: object) -> InputError:
    return InputError(
        f"the data set is {shown(repr(name))}, expected a name, such as 'mnist', or a path to an "
        ".npz file; for arrays use dataset_from_arrays"
    )


def _unknown_set_error(name: str) -> InputError:
    return InputError(
        f"there is no data set '{shown(name)}', expected a path to an .npz file or one of "
        f"{', '.join(DATASETS)}{did_you_mean(name.lower(), DATASETS)}"
    )
