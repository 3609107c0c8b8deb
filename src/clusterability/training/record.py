"""The record of a run: its spec, and its scores by epoch and phase."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file
from torch import nn

from clusterability.arguments import one_of, whole
from clusterability.errors import InputError
from clusterability.files.checks import check_regular
from clusterability.files.memory import check_fits
from clusterability.records import check_types
from clusterability.shown import show_path, shown
from clusterability.training.networks import NETWORKS
from clusterability.training.spec import TrainingSpec

SCHEMA_VERSION = 1

Found = TypeVar("Found")

Row = TypeVar("Row", "EpochScores", "PhaseScores", "Attempt")


def measurement_path(folder: Path, phase: str) -> Path:
    """Return the path of the measurement of a phase's network."""
    return folder / f"{phase}-clusterability.json"


def validation_path(folder: Path, phase: str) -> Path:
    """Return the path of what the clusters of a phase's network are worth."""
    return folder / f"{phase}-clusters.json"


TEXT_FACTOR = 12
"""Bytes that a byte of a JSON file of numbers may take as Python's objects."""


def read_beside(path: Path, parse: Callable[[str], Found], remedy: str) -> Found | None:
    """Return what a JSON file beside a run's weights holds, or None if there is none.

    Args:
        path: of the file.
        parse: raises an InputError for another text.
        remedy: what removing the file is good for, for the message.

    Raises:
        InputError: if it is damaged.
    """
    if not path.exists():
        return None
    try:
        check_regular(path)
        check_fits(show_path(path), TEXT_FACTOR * path.stat().st_size)
        return parse(path.read_text(encoding="utf-8", errors="replace"))
    except (InputError, OSError) as error:
        raise InputError(
            f"'{shown(str(path), 200)}' cannot be read ({error}); remove it {remedy}"
        ) from None


@dataclass(frozen=True)
class EpochScores:
    """One line of the curves.

    Args:
        phase: ``unpruned`` or ``pruned``.
        epoch: from 1 in each phase.
        train_loss, train_accuracy: while training, with dropout, as Keras reports them.
        test_loss, test_accuracy: after the epoch, without dropout; None without a test part.
        penalty: of the kernels after the epoch, not part of the losses.
        sparsity: share of zeros among the kernels.
        seconds: for the epoch, of all networks of the stack.

    Losses are in nats, or mean squares; accuracies are shares, and None in a regression.
    """

    phase: str
    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    penalty: float
    sparsity: float
    seconds: float


def curves_csv(rows: Sequence[EpochScores]) -> str:
    """Return a line for each epoch; a field is empty where there is no number."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(EpochScores)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([getattr(row, name) for name in names])
    return text.getvalue()


@dataclass(frozen=True)
class PhaseScores:
    """The scores of the network at the end of a phase.

    Args:
        final_train_loss, final_train_accuracy: of the final weights, without dropout.
        train_loss, train_accuracy: while training in the last epoch; the paper has these.

    The others are those of the last epoch; see :class:`EpochScores`.
    """

    final_train_loss: float
    final_train_accuracy: float | None
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    penalty: float
    sparsity: float


@dataclass(frozen=True)
class Attempt:
    """A training that was thrown away, since the n-cut after this phase was near zero."""

    phase: str
    ncut: float


@dataclass(frozen=True)
class TrainedRun:
    """The record of a run, and the folder of its weights.

    Args:
        spec: of the run.
        folder: holds ``run.json``, ``curves.csv``, ``curves.png``, and for each phase its weights,
            ``unpruned.safetensors`` and ``pruned.safetensors``.
        phases: scores by phase.
        curves: scores by epoch.
        diverged: phase and epoch in which the loss became NaN or infinite; None if never. The
            weights before are then in ``last-good.safetensors``.
        attempts: trainings that were thrown away.
        machine: device, threads, versions, seconds.
        data_digest: SHA-256 of the data.
        shape: of one input.
        n_outputs: classes, or targets of a regression.

    >>> from tempfile import TemporaryDirectory
    >>> from clusterability.training import train
    >>> spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0)
    >>> with TemporaryDirectory() as folder:
    ...     run = train(spec, out=folder, device="cpu")
    ...     network = run.network("unpruned")
    >>> run.shape, run.n_outputs, network[-1].out_features
    ((1, 8, 8), 10, 10)
    """

    spec: TrainingSpec
    folder: Path
    phases: dict[str, PhaseScores]
    curves: tuple[EpochScores, ...]
    diverged: str | None
    attempts: tuple[Attempt, ...]
    machine: dict[str, Any]
    data_digest: str
    shape: tuple[int, ...]
    n_outputs: int

    def network(self, phase: str) -> nn.Sequential:
        """Return the network at the end of a phase, ``unpruned`` or ``pruned``.

        It is in evaluation mode.

        Raises:
            InputError: if there is no such phase, or its file is damaged.
        """
        one_of("phase", phase, self.phases)
        made = NETWORKS[self.spec.network].build
        path = self.folder / f"{phase}.safetensors"
        try:
            network = made(*(self.shape, self.n_outputs, self.spec.dropout, self.spec.dropout_rate))
            check_regular(path)
            network.load_state_dict(load_file(path))
        # What the library raises on damaged files is not documented.
        except Exception as error:
            reason = str(error) if isinstance(error, InputError) else type(error).__name__
            raise InputError(
                f"'{shown(str(path), 200)}' cannot be read ({reason}); remove its "
                "folder to train the run again"
            ) from None
        return network.eval()

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``run.json``: everything but the folder."""
        return {
            "schema_version": SCHEMA_VERSION,
            "spec": self.spec.to_dict(),
            "phases": {name: dataclasses.asdict(scores) for name, scores in self.phases.items()},
            "diverged": self.diverged,
            "attempts": [dataclasses.asdict(attempt) for attempt in self.attempts],
            "machine": self.machine,
            "data_digest": self.data_digest,
            "shape": list(self.shape),
            "n_outputs": self.n_outputs,
            "curves": [dataclasses.asdict(row) for row in self.curves],
        }

    @classmethod
    def from_json(cls, text: str, folder: Path) -> TrainedRun:
        """Return the record with the content of a ``run.json``.

        Raises:
            InputError: if a field is missing or cannot be used.
        """
        try:
            data = json.loads(text)
            if data["schema_version"] != SCHEMA_VERSION:
                raise InputError(f"its schema is {data['schema_version']!r}, not {SCHEMA_VERSION}")
            spec, diverged = TrainingSpec.from_dict(data["spec"]), data["diverged"]
            n_phases = len(spec.phases) if diverged is None else len(data["phases"])
            if tuple(data["phases"]) != spec.phases[:n_phases]:
                raise InputError(f"its phases are not {' and '.join(spec.phases)}")
            return cls(
                spec=spec,
                folder=folder,
                phases={name: _row(PhaseScores, value) for name, value in data["phases"].items()},
                curves=tuple(_row(EpochScores, row) for row in data["curves"]),
                diverged=None if diverged is None else str(diverged),
                attempts=tuple(_row(Attempt, attempt) for attempt in data["attempts"]),
                machine=dict(data["machine"]),
                data_digest=str(data["data_digest"]),
                shape=tuple(whole("shape", side, 1) for side in data["shape"]),
                n_outputs=whole("n_outputs", data["n_outputs"], 1),
            )
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            reason = str(error) if isinstance(error, InputError) else type(error).__name__
            raise InputError(
                f"'{shown(str(folder / 'run.json'), 200)}' is no record of a run ({reason}); "
                "remove its folder to train the run again"
            ) from None


def _row(kind: Callable[..., Row], fields: dict[str, Any]) -> Row:
    """Return scores made of these fields, and raise if one is not of its declared type."""
    row = kind(**fields)
    check_types(row)
    return row
