"""What is known of a data set without loading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clusterability.datasets.dataset import Dataset, Parts

Make = Callable[[int, Sequence[Dataset]], Parts]


class StoredSet(Protocol):
    """A data set in published files."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the files may lie below a data folder."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where they are downloaded from."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """Algorithm and hash by file."""

    def find(self, root: Path) -> Path | None:
        """Their folder below ``root``, if they are all there."""

    def incomplete(self, root: Path) -> tuple[Path, list[str]] | None:
        """A folder that has some of the files, and the names of those that it lacks."""

    def read(self, folder: Path) -> Parts:
        """The data, checked."""

    def fetch(self, root: Path, progress: bool) -> None:
        """Download them to ``root``, checked."""


@dataclass(frozen=True)
class DatasetEntry:
    """One data set.

    Attributes:
        name: what it is called.
        title: what it shows, in a few words.
        license: of the data.
        n_train: samples to train on; of ``lines-mnist-sep`` about so many, by the seed.
        n_test: samples to test with, likewise; 0 for none.
        shape: of one sample: (channels, height, width), or (n_features,).
        n_outputs: classes, or targets of a regression.
        source: where the data come from.
        bases: names of the sets that it is made of.
        make: ``(seed, bases) -> (train, test)``; None where the set lies in files.
        files: the published files; None where the set is made.
        shipped: the package's own file, for a set that is always there.
        regression: whether the targets are numbers.
        reshuffled: as in :class:`Dataset`.
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
        """Algorithm and hash of each published file, as ``sha256:...``; {} for a made set."""
        return {} if self.files is None else self.files.checksums
