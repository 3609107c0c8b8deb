"""From a name or a path to a data set in memory."""

from __future__ import annotations

import difflib
import os
from numbers import Integral
from pathlib import Path
from typing import Any

from clusterability.datasets import places
from clusterability.datasets.dataset import Dataset
from clusterability.datasets.entry import DatasetEntry, StoredSet
from clusterability.datasets.registry import DATASETS
from clusterability.errors import InputError
from clusterability.shown import shown

Folder = str | os.PathLike[str]


def load_dataset(
    name_or_path: Folder,
    *,
    seed: int = 0,
    data_dir: Folder | None = None,
    download: bool = True,
    progress: bool = False,
) -> Dataset:
    """Load one of :data:`DATASETS`, or one's own from an ``.npz`` file.

    Files are looked for in ``data_dir``, in the folder that ``CLUSTERABILITY_DATA`` names, in the
    user's cache and in ``/usr/share/datasets``, and are else downloaded into the cache.

    Args:
        name_or_path: a name, or a path to a file with the arrays x, y and perhaps test_x, test_y.
        seed: for sets that are made from one; the same seed gives the same bytes.
        data_dir: a folder that holds ``mnist/``, ``fashion-mnist/`` or ``cifar-10-batches-bin/``.
        download: whether missing files may be downloaded.
        progress: show a bar while downloading, if standard error is a terminal.

    Raises:
        InputError: if there is no such set, or its files cannot be had or are not the published.

    >>> digits = load_dataset("digits")
    >>> digits.train.x.shape, digits.train.x.dtype, digits.n_classes
    ((1437, 1, 8, 8), dtype('uint8'), 10)
    """
    seed = _checked_seed(seed)
    if not isinstance(name_or_path, str | os.PathLike):
        raise _no_name(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in DATASETS:
        return _load(DATASETS[name_or_path], seed, data_dir, download, progress)
    path = Path(name_or_path)
    # Unlike Path.exists, this is False for names that are too long, too.
    if path.suffix == ".npz" or os.path.exists(path):
        from clusterability.datasets.own_data import dataset_from_npz

        return dataset_from_npz(path)
    raise _unknown(str(name_or_path))


def available(name: str, data_dir: Folder | None = None) -> Path | None:
    """Where a set's files lie, without reading them; None if some are missing.

    Of a set that is made from others, the folder of these; of one that is made from nothing but
    the seed, or shipped, the package's own.

    Raises:
        InputError: if there is no such set.
    """
    entry = _entry(name)
    if entry.files is not None:
        return _found(entry.files, data_dir)
    bases = [available(base, data_dir) for base in entry.bases]
    if None in bases:
        return None
    return entry.shipped or (bases[-1] if bases else Path(__file__).parent)


def fetch(name: str, progress: bool = False, data_dir: Folder | None = None) -> None:
    """Download what is missing of a set's files into the cache.

    Raises:
        InputError: if there is no such set, or its files cannot be had.
    """
    entry = _entry(name)
    if entry.files is not None and _found(entry.files, data_dir) is None:
        entry.files.fetch(places.cache_folder(), progress)
    for base in entry.bases:
        fetch(base, progress, data_dir)


def _checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise InputError(f"seed is {shown(repr(seed))}, expected a whole number of at least 0")
    return int(seed)


def _load(
    entry: DatasetEntry, seed: int, data_dir: Folder | None, download: bool, progress: bool
) -> Dataset:
    if entry.files is not None:
        train, test = entry.files.read(_needed(entry, entry.files, data_dir, download, progress))
    else:
        bases = [_load(_entry(b), seed, data_dir, download, progress) for b in entry.bases]
        if entry.make is None:
            raise InputError(f"data set {entry.name!r} has neither files nor make; give it one")
        train, test = entry.make(seed, bases)
    n_classes = None if entry.regression else entry.n_outputs
    return Dataset(entry.name, train, test, n_classes, entry.reshuffled)


def _needed(
    entry: DatasetEntry, files: StoredSet, data_dir: Folder | None, download: bool, progress: bool
) -> Path:
    folder = _found(files, data_dir)
    if folder is None:
        _check_whole(entry, files, data_dir)
    if folder is None and download:
        files.fetch(places.cache_folder(), progress)
        folder = _found(files, data_dir)
    if folder is None:
        looked = ", ".join(f"'{shown(str(root), 300)}'" for root in places.data_folders(data_dir))
        raise InputError(
            f"the files of {entry.name} are not here, looked for {files.folders[0]}/ in {looked}; "
            f"run clusterability datasets {entry.name} --download, or name the folder that "
            f"holds {files.folders[0]}/ with data_dir or CLUSTERABILITY_DATA"
        )
    return folder


def _check_whole(entry: DatasetEntry, files: StoredSet, data_dir: Folder | None) -> None:
    """Do not pass over a folder that the user named and that has only some of the files."""
    for root in places.named_folders(data_dir):
        found = files.incomplete(root)
        if found is not None:
            folder, missing = found
            raise InputError(
                f"'{shown(str(folder), 300)}' has only some of the files of {entry.name}, there is "
                f"no {', '.join(missing)}; add what is missing, or run clusterability datasets "
                f"{entry.name} --download"
            )


def _found(files: StoredSet, data_dir: Folder | None) -> Path | None:
    for root in places.data_folders(data_dir):
        folder = files.find(root)
        if folder is not None:
            return folder
    return None


def _entry(name: str) -> DatasetEntry:
    if not isinstance(name, str):
        raise _no_name(name)
    if name not in DATASETS:
        raise _unknown(name)
    return DATASETS[name]


def _no_name(name: object) -> InputError:
    return InputError(
        f"the data set is {shown(repr(name))}, expected a name, such as 'mnist', or a path to an "
        ".npz file; for arrays use dataset_from_arrays"
    )


def _unknown(name: str) -> InputError:
    near = difflib.get_close_matches(name.lower(), DATASETS, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(
        f"there is no data set '{shown(name)}', expected a path to an .npz file or one of "
        f"{', '.join(DATASETS)}{hint}"
    )
