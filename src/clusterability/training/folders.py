"""The folder of one run: its files, and the lock that keeps other processes out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import safetensors.torch
from filelock import FileLock, Timeout
from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.checks import check_regular
from clusterability.files.writing import write_whole
from clusterability.shown import shown
from clusterability.training import checkpoint
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.record import (
    EpochScores,
    TrainedRun,
    curves_csv,
    measurement_path,
    validation_path,
)
from clusterability.training.spec import TrainingSpec

RECORD = "run.json"


class RunFolder:
    """The folder of one run; ``with`` makes and locks it.

    The operating system frees the lock of a process that is killed.

    Args:
        out: holds the folders of all runs.
        spec: has the name of this folder.
    """

    def __init__(self, out: Path, spec: TrainingSpec) -> None:
        self.path = out / spec.name
        self.spec = spec
        self.lock = FileLock(self.path / ".lock")

    def __enter__(self) -> RunFolder:
        quoted = f"'{shown(str(self.path), 200)}'"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{quoted} is being trained by another process; wait for it, or give another out"
            ) from None
        except (OSError, NotImplementedError) as error:  # the latter where files have no locks
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot write to {quoted}: {reason}; give another out") from None
        for left in self.path.glob(".new-*"):  # of a write that was killed
            with suppress(OSError):
                left.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()

    def finished_run(self, data_digest: str) -> TrainedRun | None:
        """Return the record of the run, or None if it is not finished.

        Raises:
            InputError: if the folder holds the run of another spec or of other data, or the record
                cannot be read.
        """
        path = self.path / RECORD
        if not path.exists():
            return None
        try:
            check_regular(path)
            text = path.read_text(encoding="utf-8", errors="replace")
        except (InputError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"cannot read '{shown(str(path), 200)}': {reason}; give another out"
            ) from None
        run = TrainedRun.from_json(text, self.path)
        for part, same in (
            ("spec", run.spec == self.spec),
            ("data", run.data_digest == data_digest),
        ):
            if not same:
                raise InputError(
                    f"'{shown(str(self.path), 200)}' holds a run of another {part}; remove it, or "
                    "give another out"
                )
        missing = [p for p in run.phases if not (self.path / f"{p}.safetensors").exists()]
        return None if missing else run

    def read_checkpoint(self, digest: str) -> Checkpoint | None:
        """Return the checkpoint, or None; see :func:`.checkpoint.read_checkpoint`."""
        return checkpoint.read_checkpoint(self.path, digest)

    def write_checkpoint(self, state: Checkpoint) -> None:
        """Replace the checkpoint."""
        checkpoint.write_checkpoint(self.path, state)

    def remove_checkpoint(self) -> None:
        """Delete the checkpoint, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(self.path / checkpoint.FILE)

    def write_weights(self, name: str, weights: dict[str, Tensor]) -> None:
        """Write a state dict as NAME.safetensors, and delete what was found of an earlier one."""
        for path in (measurement_path(self.path, name), validation_path(self.path, name)):
            with suppress(FileNotFoundError):
                os.unlink(path)
        write_whole(self.path / f"{name}.safetensors", safetensors.torch.save(weights))

    def write_curves(self, rows: Sequence[EpochScores]) -> None:
        """Write the curves as CSV."""
        write_whole(self.path / "curves.csv", curves_csv(rows).encode())

    def draw_curves(self, rows: Sequence[EpochScores]) -> None:
        """Draw the curves, which takes longer than an epoch of a small network."""
        from clusterability.training.curves import curves_png  # imports matplotlib

        write_whole(self.path / "curves.png", curves_png(rows, self.path.name))

    def write_record(self, run: TrainedRun) -> None:
        """Write the record; a run with a record counts as finished."""
        text = json.dumps(run.to_dict(), indent=1, allow_nan=False) + "\n"
        write_whole(self.path / RECORD, text.encode())
