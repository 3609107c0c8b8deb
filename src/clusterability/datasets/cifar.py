"""CIFAR-10 in its two official layouts, binary and Python."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Parts, Split
from clusterability.datasets.places import is_file, set_folders
from clusterability.errors import InputError
from clusterability.shown import show_path

BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_BATCH = "test_batch"
SHAPE = (3, 32, 32)
N_PIXELS = 3072
N_CLASSES = 10

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class CifarSet:
    """CIFAR-10: six batches of images in one folder.

    A download is checked by the published hash of the archive. No hashes of the unpacked files are
    published; these are checked by their sizes and the number of images in each class.

    Attributes:
        url: address of the archive with the binary layout.
        md5: hash of that archive.
        n_per_batch: number of images in each of the six files.
    """

    url: str
    md5: str
    n_per_batch: int = 10_000

    @property
    def folders(self) -> tuple[str, ...]:
        """Return the folders of the two layouts; binary comes first, since it is read faster."""
        return (BINARY, PYTHON)

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the address of the archive."""
        return (self.url,)

    @property
    def checksums(self) -> dict[str, str]:
        """Return the MD5 of the archive."""
        return {self.url.rsplit("/", 1)[-1]: f"md5:{self.md5}"}

    @property
    def _batch_bytes(self) -> int:
        """Return the size of a binary file: a label and the pixels for each image."""
        return self.n_per_batch * (1 + N_PIXELS)

    def find(self, root: Path) -> Path | None:
        """Return the folder below ``root`` that has all six files, or None."""
        for folder in set_folders(root, self.folders):
            if not _missing(folder):
                return folder
        return None

    def find_incomplete(self, root: Path) -> tuple[Path, list[str]] | None:
        """Return a folder below ``root`` with some of the files, and the names of the missing."""
        for folder in set_folders(root, self.folders):
            missing = _missing(folder)
            if 0 < len(missing) < len(_files(folder.name)):
                return folder, missing
        return None

    def read(self, folder: Path) -> Parts:
        """Return the training and the test part: images (n, 3, 32, 32) uint8, and labels.

        Raises:
            InputError: if a file is damaged or differs from the published one.
        """
        read = self._read_python if folder.name == PYTHON else self._read_binary
        *train_files, test_file = (folder / file for file in _files(folder.name))
        train = self._split(folder, train_files, read)
        return train, self._split(folder, [test_file], read)

    def _split(self, folder: Path, files: list[Path], read: Callable[[Path], Batch]) -> Split:
        x = np.empty((len(files), self.n_per_batch, *SHAPE), np.uint8)
        y = np.empty((len(files), self.n_per_batch), np.int64)
        for i, path in enumerate(files):
            pixels, y[i] = read(path)
            x[i] = pixels.reshape(-1, *SHAPE)
        counts = np.bincount(y.ravel().clip(0, N_CLASSES), minlength=N_CLASSES)
        if y.min() < 0 or counts.tolist() != [y.size // N_CLASSES] * N_CLASSES:
            raise InputError(
                f"the images in {show_path(folder)} are not CIFAR-10's: {counts.tolist()} "
                f"of each class, expected {y.size // N_CLASSES:,}; download them again"
            )
        return Split(x.reshape(-1, *SHAPE), y.ravel())

    def _read_binary(self, path: Path) -> Batch:
        from clusterability.files.checks import check_readable, explain_damage

        check_readable(path)
        with explain_damage(path):
            if path.stat().st_size != self._batch_bytes:
                raise InputError(
                    f"{show_path(path)} holds {path.stat().st_size:,} bytes, expected "
                    f"{self._batch_bytes:,}; download it again"
                )
            records = np.fromfile(path, np.uint8).reshape(self.n_per_batch, 1 + N_PIXELS)
        return records[:, 1:], records[:, 0].astype(np.int64)

    def _read_python(self, path: Path) -> Batch:
        from clusterability.datasets.cifar_pickles import read_batch

        return read_batch(path, self.n_per_batch)

    def fetch(self, root: Path, progress: bool) -> None:
        """Download the archive and unpack the six files.

        Raises:
            InputError: if the archive cannot be downloaded or stored, or has another hash.
        """
        from clusterability.datasets.downloads import download, make_folder
        from clusterability.files.checks import explain_damage

        make_folder(root)
        n_bytes = len(_files(BINARY)) * self._batch_bytes
        with download(self.url, root, progress, n_bytes, f"md5:{self.md5}") as archive:
            unpacked = archive.with_name(BINARY)
            unpacked.mkdir()
            with explain_damage(archive):
                self._unpack(archive, unpacked)
            self.read(unpacked)
            target = make_folder(root / BINARY)
            for file in _files(BINARY):
                (unpacked / file).replace(target / file)

    def _unpack(self, archive: Path, folder: Path) -> None:
        with tarfile.open(archive) as members:
            for file in _files(BINARY):
                content: Any = members.extractfile(f"{BINARY}/{file}")
                data = content.read(self._batch_bytes + 1)
                (folder / file).write_bytes(data)


def _files(folder: str) -> list[str]:
    suffix = "" if folder == PYTHON else ".bin"
    return [f"{name}{suffix}" for name in (*TRAIN_BATCHES, TEST_BATCH)]


def _missing(folder: Path) -> list[str]:
    return [name for name in _files(folder.name) if not is_file(folder / name)]
