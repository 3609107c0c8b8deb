"""Descriptions of data sets, available without loading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clusterability.datasets.dataset import Dataset, Parts

Make = Callable[[int, Sequence[Dataset]], Parts]


class StoredSet(Protocol):
    """A data set whose files are published."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Return the possible folders of the files, below a data folder."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the addresses of the files."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """Return the algorithm and hash of each file, by name."""

    def find(self, root: Path) -> Path | None:
        """Return the folder below ``root`` that has all files, or None."""

    def find_incomplete(self, root: Path) -> tuple[Path, list[str]] | None:
        """Return a folder below ``root`` with some of the files, and the names of the missing."""

    def read(self, folder: Path) -> Parts:
        """Return the training and the test part, checked."""

    def fetch(self, root: Path, progress: bool) -> None:
        """Download the files to ``root``, and check them."""


@dataclass(frozen=True)
class DatasetEntry:
    """The description of one data set.

    Attributes:
        name: name of the data set.
        title: its contents in a few words.
        license: license of the data.
        n_train: number of training samples; for ``lines-mnist-sep`` about that, by the seed.
        n_test: number of test samples, likewise; 0 for none.
        shape: shape of one sample: (channels, height, width), or (n_features,).
        n_outputs: number of classes, or of a regression's targets.
        source: reference for the data.
        bases: names of the data sets from which this one is made.
        make: function ``(seed, bases) -> (train, test)``; None if the data are in files.
        files: the published files; None if the data set is made.
        shipped: path of the package's own file; None if the package does not ship the data.
        regression: whether the targets are numbers instead of classes.
        reshuffled: as in :class:`Dataset`.

    >>> from clusterability.datasets import DATASETS
    >>> DATASETS["mnist"].n_train, DATASETS["mnist"].shape
    (60000, (1, 28, 28))
    """

    name: str
    title: str
    license: str
    n_train: int = 60_000
    n_test: int = 10_000
    shape: tuple[int, ...] = (1, 28, 28)
    n_outputs: int = 10
    source: str = "made from the seed"
    bases: tuple[str, ...] = ()
    make: Make | None = None
    files: StoredSet | None = None
    shipped: Path | None = None
    regression: bool = False
    reshuffled: bool = True

    @property
    def checksums(self) -> Mapping[str, str]:
        """Return the hash of each published file, as ``sha256:...``; {} if there are no files."""
        return {} if self.files is None else self.files.checksums
