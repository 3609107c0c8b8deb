"""MNIST's file format, IDX: a magic number, the size of each axis, and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Parts, Split
from clusterability.datasets.places import is_file, set_folders
from clusterability.errors import InputError
from clusterability.shown import show_path

UNSIGNED_BYTES = 8


@dataclass(frozen=True)
class IdxSet:
    """Four IDX files in one folder, gzipped or not.

    Attributes:
        folders: possible folders of the files, below a data folder; downloads go to the first.
        url: address of the folder with the downloads; ends with a slash.
        contents: size in bytes and SHA-256 of each decompressed file, by name: images and labels of
            the training part, then those of the test part.
    """

    folders: tuple[str, ...]
    url: str
    contents: Mapping[str, tuple[int, str]]

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the addresses of the files."""
        return tuple(f"{self.url}{name}.gz" for name in self.contents)

    @property
    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of each decompressed file, by name."""
        return {name: f"sha256:{sha256}" for name, (_, sha256) in self.contents.items()}

    def find(self, root: Path) -> Path | None:
        """Return the folder below ``root`` that has all four files, or None."""
        for folder in set_folders(root, self.folders):
            if not self._missing(folder):
                return folder
        return None

    def find_incomplete(self, root: Path) -> tuple[Path, list[str]] | None:
        """Return a folder below ``root`` with some of the files, and the names of the missing."""
        for folder in set_folders(root, self.folders):
            missing = self._missing(folder)
            if 0 < len(missing) < len(self.contents):
                return folder, missing
        return None

    def _missing(self, folder: Path) -> list[str]:
        return [name for name in self.contents if _find_file(folder, name) is None]

    def read(self, folder: Path) -> Parts:
        """Return the training and the test part: images (n, 1, height, width) uint8, and labels.

        Raises:
            InputError: if a file is damaged or differs from the published one.
        """
        arrays = [self._read(folder, name) for name in self.contents]
        train, test = (
            Split(images[:, None], labels.astype(np.int64))
            for images, labels in (arrays[:2], arrays[2:])
        )
        return train, test

    def _read(self, folder: Path, name: str) -> NDArray[np.uint8]:
        from clusterability.datasets.contents import read_contents

        path = _find_file(folder, name)
        if path is None:
            raise InputError(f"there is no file {name} in {show_path(folder)}; add it")
        return parse_idx(read_contents(path, *self.contents[name]), path)

    def fetch(self, root: Path, progress: bool) -> None:
        """Download the missing files.

        Raises:
            InputError: if a file cannot be downloaded or stored, or differs from the published one.
        """
        from clusterability.datasets.contents import read_contents
        from clusterability.datasets.downloads import download, make_folder

        folder = make_folder(root / self.folders[0])
        for name in self.contents:
            if _find_file(folder, name) is None:
                n_bytes = self.contents[name][0]
                with download(f"{self.url}{name}.gz", folder, progress, n_bytes) as path:
                    read_contents(path, *self.contents[name])
                    path.replace(folder / f"{name}.gz")


def parse_idx(data: bytearray, path: Path) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes.

    Raises:
        InputError: if there is no IDX header, or its shape does not fit the size of the file.
    """
    n_axes = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * n_axes
    if len(data) < start or data[:3] != bytes([0, 0, UNSIGNED_BYTES]) or n_axes == 0:
        raise InputError(
            f"{show_path(path)} begins with {bytes(data[:4]).hex()}, expected an IDX file "
            "of unsigned bytes (00000801 or 00000803); download it again"
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", n_axes, 4))
    if math.prod(shape) != len(data) - start:
        raise InputError(
            f"{show_path(path)} claims shape {shape}, but holds {len(data) - start:,} "
            "bytes; download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _find_file(folder: Path, name: str) -> Path | None:
    for path in (folder / f"{name}.gz", folder / name):
        if is_file(path):
            return path
    return None
