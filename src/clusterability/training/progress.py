"""How far the runs of a stack are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.training.record import Attempt, EpochScores, PhaseScores


@dataclass
class Progress:
    """How far the runs of a stack are trained, and their scores so far.

    :class:`Training` changes it, and a checkpoint keeps it.

    Args:
        attempt: how often the training was begun again.
        phase: index of the phase.
        epoch: number of finished epochs of this phase.
        curves: scores of the finished epochs, for each run.
        phases: scores of the finished phases by name, for each run.
        diverged: phase and epoch at which the run diverged, or None, for each run.
        attempts: the attempts that were thrown away.
        seconds: time that the epochs took.
        threads: number of torch's threads, which changes the rounding.
    """

    attempt: int
    phase: int
    epoch: int
    curves: list[list[EpochScores]]
    phases: list[dict[str, PhaseScores]]
    diverged: list[str | None]
    attempts: list[Attempt]
    seconds: float
    threads: int

    @classmethod
    def start(cls, n_runs: int, threads: int) -> Progress:
        """Return the progress before the first epoch."""
        return cls(
            attempt=0,
            phase=0,
            epoch=0,
            curves=[[] for _ in range(n_runs)],
            phases=[{} for _ in range(n_runs)],
            diverged=[None] * n_runs,
            attempts=[],
            seconds=0.0,
            threads=threads,
        )

    def begin_again(self, failed: Attempt) -> None:
        """Go back to the first epoch, and keep of the failed attempt only its n-cut and time."""
        fresh = Progress.start(len(self.curves), self.threads)
        self.attempt, self.phase, self.epoch = self.attempt + 1, 0, 0
        self.curves, self.phases, self.diverged = fresh.curves, fresh.phases, fresh.diverged
        self.attempts.append(failed)

    @property
    def learning(self) -> list[int]:
        """Indices of the runs that have not diverged."""
        return [run for run, diverged in enumerate(self.diverged) if diverged is None]

    def check(self, n_epochs: Sequence[int], n_runs: int) -> None:
        """Raise unless a training of ``n_runs`` with these epochs in each phase comes to this.

        Raises:
            InputError: if phase, epoch, attempt or threads is out of range, or a run's scores do
                not end there.
        """
        phase = whole("phase", self.phase, 0, len(n_epochs) - 1)
        epoch = whole("epoch", self.epoch, 1, n_epochs[phase])
        whole("attempt", self.attempt, 0)
        whole("threads", self.threads, 1)
        done = (sum(n_epochs[:phase]) + epoch, phase)
        runs = list(zip(self.curves, self.phases, self.diverged, strict=True))
        learning = [(len(rows), len(phases)) for rows, phases, diverged in runs if diverged is None]
        if len(runs) != n_runs or any(of_run != done for of_run in learning):
            raise InputError(f"its curves do not end at epoch {epoch}")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Progress:
        """Return the progress whose fields JSON has as plain values; does not check them."""
        curves = [[EpochScores(**row) for row in run] for run in data["curves"]]
        phases = [
            {name: PhaseScores(**scores) for name, scores in run.items()} for run in data["phases"]
        ]
        attempts = [Attempt(**attempt) for attempt in data["attempts"]]
        seconds = float(data["seconds"])
        scores = {"curves": curves, "phases": phases, "attempts": attempts, "seconds": seconds}
        return cls(**data | scores)
