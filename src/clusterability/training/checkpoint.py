"""The state of training after its last finished epoch, in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.files.writing import write_whole
from clusterability.shown import shown
from clusterability.training.record import Attempt, EpochScores, PhaseScores

FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Where the training of a stack is.

    Args:
        state: of the networks; see :meth:`Trainable.state`.
        attempt: how often it was begun again.
        phase, epoch: epochs that are finished in this phase.
        curves: rows so far, for each run.
        phases: scores of the finished phases, for each run.
        diverged: for each run, in which phase and epoch, or None.
        attempts: that were thrown away.
        seconds: so far.
        threads: of torch, which change the rounding.
        digest: of the specs and the data.
    """

    state: dict[str, Tensor]
    attempt: int
    phase: int
    epoch: int
    curves: list[list[EpochScores]]
    phases: list[dict[str, PhaseScores]]
    diverged: list[str | None]
    attempts: list[Attempt]
    seconds: float
    threads: int
    digest: str


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint."""
    described = {
        field.name: getattr(checkpoint, field.name)
        for field in dataclasses.fields(checkpoint)
        if field.name != "state"
    }
    text = json.dumps(described, default=dataclasses.asdict)
    content = safetensors.torch.save(checkpoint.state, metadata={"checkpoint": text})
    write_whole(folder / FILE, content)


def read_checkpoint(folder: Path, digest: str) -> Checkpoint | None:
    """The folder's checkpoint, or None if there is none.

    Raises:
        InputError: if it is damaged, or of another training or other data.
    """
    path = folder / FILE
    if not path.exists():
        return None
    with damage_named(folder):
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            described: dict[str, Any] = json.loads(file.metadata()["checkpoint"])
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        described["curves"] = [[EpochScores(**row) for row in run] for run in described["curves"]]
        described["phases"] = [
            {name: PhaseScores(**scores) for name, scores in run.items()}
            for run in described["phases"]
        ]
        described["attempts"] = [Attempt(**attempt) for attempt in described["attempts"]]
        checkpoint = Checkpoint(state=state, **described)
    if checkpoint.digest != digest:
        raise InputError(
            f"'{shown(str(path), 200)}' belongs to other data, another spec or another kind of "
            "device; name those that it was begun with, or remove it to train the run from its "
            "beginning"
        )
    return checkpoint


def check_place(checkpoint: Checkpoint, n_epochs: Sequence[int], n_runs: int) -> None:
    """Refuse a place that ``n_runs`` trainings with so many epochs in each phase never come to.

    Raises:
        InputError: if it is one.
    """
    phase = whole("phase", checkpoint.phase, 0, len(n_epochs) - 1)
    epoch = whole("epoch", checkpoint.epoch, 1, n_epochs[phase])
    whole("attempt", checkpoint.attempt, 0)
    whole("threads", checkpoint.threads, 1)
    done = (sum(n_epochs[:phase]) + epoch, phase)
    runs = list(zip(checkpoint.curves, checkpoint.phases, checkpoint.diverged, strict=True))
    going_on = [(len(rows), len(phases)) for rows, phases, diverged in runs if diverged is None]
    if len(runs) != n_runs or any(of_run != done for of_run in going_on):
        raise InputError(f"its curves do not end at epoch {epoch}")


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Turn whatever the folder's checkpoint raises into one sentence that names it.

    Raises:
        InputError: in place of any error but a lack of memory.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # What the library raises on damaged files is not documented, and a file may hold anything.
    except Exception as error:
        reason = str(error) if isinstance(error, InputError) else type(error).__name__
        raise InputError(
            f"'{shown(str(folder / FILE), 200)}' is damaged ({reason}); remove it to train the run "
            "from its beginning"
        ) from None
