"""The folder of all results of a reproduction, and what a task is."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from clusterability.errors import InputError
from clusterability.result import Clusterability
from clusterability.settings import Settings
from clusterability.shown import described, show_path, shown
from clusterability.training import TrainedRun, TrainingSpec
from clusterability.training.folders import RECORD
from clusterability.training.record import read_beside

Fields = dict[str, Any]

PROBE_BYTES = 2**23
"""Less than this left on a disk counts as a full one: a network of the paper takes 2 MB or more."""


def parse_object(text: str) -> Fields:
    """Return the object that a JSON text from the folder holds.

    Raises:
        InputError: if it holds none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is no JSON: {shown(str(error))}") from None
    if not isinstance(found, dict):
        raise InputError(f"it holds {described(found)}, expected an object")
    return found


MEASURES_VERSION = 2
"""Grows when the same network is measured as other numbers. Measurements of earlier versions are
left where they are and made anew; the networks stay."""


MEASUREMENTS = "*pruned-????????*.json"
"""Names of measurements in a network's folder, those of earlier versions among them."""


class BusyError(Exception):
    """Another process does this task at the moment."""


class Task(Protocol):
    """One piece of work."""

    @property
    def key(self) -> str:
        """Return a name that no other task has."""

    def needs(self) -> Task | None:
        """Return the task that comes before, or None."""

    def is_done(self, store: Store) -> bool:
        """Return whether the result is there."""

    def do(self, store: Store, where: Where) -> None:
        """Do it, and write the result.

        Raises:
            BusyError: if another process does it.
            InputError, RunError: if it cannot be done.
        """

    def to_dict(self) -> Fields:
        """Return what :func:`.task_from_dict` makes the task of again."""


@dataclass(frozen=True)
class Where:
    """How tasks use the machine; with the device alone numbers change, by rounding.

    Args:
        data_dir: where data sets lie.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
    """

    data_dir: str | None = None
    device: str = "cpu"


class Store:
    """The folder of all results, by the hash of what they depend on.

    Args:
        folder: holds ``runs/``, with a folder for each trained network, ``new/`` and ``files/``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"

    def run(self, spec: TrainingSpec) -> TrainedRun | None:
        """Return the record of a trained network, or None.

        Raises:
            InputError: if it is damaged, or of another spec.
        """
        folder = self.runs / spec.name
        run = read_beside(
            folder / RECORD,
            lambda text: TrainedRun.from_json(text, folder),
            "to train the run again",
        )
        if run is not None and run.spec != spec:
            raise InputError(f"the folder {show_path(folder)} holds another run; remove it")
        return run

    def measurement(
        self, spec: TrainingSpec, phase: str, settings: Settings
    ) -> Clusterability | None:
        """Return how a network was measured, or None.

        Raises:
            InputError: if the file is damaged.
        """
        path = self.measurement_path(spec, phase, settings)
        return read_beside(path, Clusterability.from_json, "to measure again")

    def measurement_path(self, spec: TrainingSpec, phase: str, settings: Settings) -> Path:
        """Return the path of a measurement."""
        return self.runs / spec.name / f"{phase}-{settings.digest}-v{MEASURES_VERSION}.json"

    def file_result_path(self, key: str) -> Path:
        """Return the path of the measurement of a network from a file, a task of this key."""
        return self.folder / f"{key}-v{MEASURES_VERSION}.json"

    def file_results(self, architecture: str, conventions: str) -> list[Clusterability]:
        """Return how networks from files were measured, the file that was named last first.

        Raises:
            InputError: if a file is damaged.
        """
        paths = sorted(
            (self.folder / "files").glob(f"{architecture.lower()}-*-v{MEASURES_VERSION}.json"),
            key=_modified,
            reverse=True,
        )
        found = [read_beside(p, Clusterability.from_json, "to measure again") for p in paths]
        return [r for r in found if r is not None and r.settings.conventions == conventions]


def make_folder(folder: Path) -> None:
    """Make a folder and those around it, if need be.

    Raises:
        InputError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {show_path(folder)}: {error.strerror or error}; give another "
            "--out"
        ) from None


def can_be_written(folder: Path) -> bool:
    """Return whether a folder takes a file of the size of a small network, and remove the file."""
    path = folder / f".probe-{os.getpid()}-{threading.get_ident()}"
    try:
        path.write_bytes(bytes(PROBE_BYTES))
    except OSError:
        return False
    finally:
        with suppress(OSError):  # where the folder is none any more, or was made read-only
            path.unlink()
    return True


def _modified(path: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 for a link to nothing."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes from a task of this name; a killed process leaves no lock behind.

    Raises:
        BusyError: if another process is at it.
        InputError: if the folder cannot be made.
    """
    make_folder(folder)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError from None
    try:
        yield
    finally:
        lock.release()
