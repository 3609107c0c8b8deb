"""Runs that are trained together, from their last checkpoint to their end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from clusterability.errors import InputError
from clusterability.training.checkpoint import Checkpoint, explain_damaged_checkpoint
from clusterability.training.divergence import find_diverged
from clusterability.training.drawing import (
    draw_batches,
    draw_dropout,
    draw_image_maps,
    draw_networks,
)
from clusterability.training.folders import RunFolder
from clusterability.training.loop import train_epoch
from clusterability.training.machine import Machine, describe_machine
from clusterability.training.networks import build
from clusterability.training.penalty import penalties_of
from clusterability.training.progress import Progress
from clusterability.training.pruning import PruningSchedule
from clusterability.training.randomness import Randomness
from clusterability.training.record import Attempt, EpochScores, TrainedRun
from clusterability.training.samples import Data
from clusterability.training.scoring import Scores, evaluate, score_epoch, score_phase
from clusterability.training.spec import TrainingSpec

MAX_ATTEMPTS = 10


class PausedError(Exception):
    """Raised when ``max_epochs`` ran before the end; the checkpoint is saved."""


class Training:
    """Trains one run, or the runs of one stack, and writes their folders.

    Args:
        specs: of the runs, equal but for the seed.
        folders: of the runs, locked.
        data: the same for all.
        machine: has the number of torch's threads, unless a checkpoint has another.
        position: line of the progress bar, where other processes have bars too.
        after_epoch: called with this training after each epoch, when its checkpoint is saved.
    """

    def __init__(
        self,
        specs: Sequence[TrainingSpec],
        folders: Sequence[RunFolder],
        data: Data,
        machine: Machine,
        *,
        position: int | None = None,
        after_epoch: Callable[[Training], None] | None = None,
    ) -> None:
        assert machine.threads is not None
        self.specs, self.folders, self.data = specs, folders, data
        self.spec = specs[0]
        self.shows_bar, self.position = machine.progress, position
        self.after_epoch = after_epoch
        self.progress = Progress.start(len(specs), machine.threads)
        self.epochs_left = math.inf
        self.last_good: list[dict[str, Tensor]] = []

    def train(self, max_epochs: int | None = None) -> list[TrainedRun]:
        """Go on from the checkpoint, if there is one, to the end.

        Raises:
            InputError: if the checkpoint is damaged or of another training.
            PausedError: if the end is not reached in ``max_epochs``; all that was done is saved.
        """
        self.epochs_left = math.inf if max_epochs is None else max_epochs
        self._begin_or_resume()
        torch.set_num_threads(self.progress.threads)
        while self.progress.learning:
            self._train_phase()
            self._score_phase()
            ncut = self._degenerate_ncut()
            if ncut is not None:
                self.progress.begin_again(Attempt(self._phase_name, ncut))
                self._begin()
            elif self.progress.phase + 1 < len(self.spec.phases):
                self.progress.phase, self.progress.epoch = self.progress.phase + 1, 0
                self.networks.start_phase()
            else:
                break
        return self._finish()

    @property
    def _phase_name(self) -> str:
        return self.spec.phases[self.progress.phase]

    def _begin(self) -> None:
        """Draw the networks with which the attempt begins."""
        self.randomness = [Randomness(spec.seed, self.progress.attempt) for spec in self.specs]
        self.networks = draw_networks(self.spec, self.data, self.randomness)

    def _weights(self) -> list[dict[str, Tensor]]:
        return [self.networks.weights(run) for run in range(self.networks.n_runs)]

    def _begin_or_resume(self) -> None:
        """Take over the checkpoint if there is one."""
        checkpoint = self.folders[0].read_checkpoint(self._digest())
        if checkpoint is None:
            self._begin()
            return
        n_epochs = [self.spec.phase_epochs(phase) for phase in range(len(self.spec.phases))]
        with explain_damaged_checkpoint(self.folders[0].path):
            checkpoint.progress.check(n_epochs, len(self.specs))
            self.progress = checkpoint.progress
            self._begin()
            self.networks.load_state(checkpoint.state)
            # Copies broadcast and convert, so that other shapes and types would be taken.
            if _kinds(self.networks.state()) != _kinds(checkpoint.state):
                raise InputError("its tensors are those of another network")
        self.last_good = self._weights()

    def _save(self) -> None:
        checkpoint = Checkpoint(self.networks.state(), self.progress, self._digest())
        self.folders[0].write_checkpoint(checkpoint)

    def _digest(self) -> str:
        # Dropout's random numbers depend on the kind of device.
        device = [] if self.data.device.type == "cpu" else [self.data.device.type]
        return "-".join([*(spec.digest for spec in self.specs), self.data.digest, *device])

    def _train_phase(self) -> None:
        n_epochs = self.spec.phase_epochs(self.progress.phase)
        schedule = self._pruning_schedule(n_epochs * self._steps_per_epoch)
        with self._bar(n_epochs) as bar:
            while self.progress.epoch < n_epochs and self.progress.learning:
                if self.epochs_left <= 0:
                    raise PausedError
                self._train_epoch(schedule, bar)
                self.epochs_left -= 1

    @property
    def _steps_per_epoch(self) -> int:
        assert self.spec.batch_size is not None
        return self.spec.epoch_steps or -(-len(self.data.train) // self.spec.batch_size)

    def _pruning_schedule(self, n_steps: int) -> PruningSchedule | None:
        if self._phase_name != "pruned":
            return None
        spec = self.spec
        return PruningSchedule.over(
            n_steps, spec.initial_sparsity, spec.final_sparsity, spec.pruning_interval
        )

    @property
    def _norm(self) -> str | None:
        if not self.spec.normalize:
            return None
        return self.spec.pruned_norm if self._phase_name == "pruned" else "weights"

    def _bar(self, n_epochs: int) -> tqdm[None]:
        return tqdm(
            total=n_epochs * self._steps_per_epoch,
            initial=self.progress.epoch * self._steps_per_epoch,
            desc=f"{self.spec.name}, {self._phase_name}",
            disable=None if self.shows_bar and sys.stderr is not None else True,
            position=self.position,
            leave=False,
            unit="step",
        )

    def _train_epoch(self, schedule: PruningSchedule | None, bar: tqdm[None]) -> None:
        started = time.perf_counter()
        self.last_good = self._weights()
        drawn = self.data, self.randomness, (self.progress.phase, self.progress.epoch)
        penalties = penalties_of(self.spec, self.networks.kernel_names, self.networks.clusters)
        maps = draw_image_maps(*drawn) if self.spec.augment else None
        self.networks.start_epoch(draw_dropout(*drawn), maps, penalties)
        train = train_epoch(
            self.networks,
            self.data.train,
            draw_batches(self.spec, *drawn),
            schedule=schedule,
            norm=self._norm,
            first_step=self.progress.epoch * self._steps_per_epoch,
            bar=bar,
        )
        test = None if self.data.test is None else evaluate(self.networks, self.data.test)
        seconds = time.perf_counter() - started
        self.progress.epoch += 1
        self.progress.seconds += seconds
        rows = score_epoch(
            self.networks,
            penalties,
            train,
            test,
            phase=self._phase_name,
            epoch=self.progress.epoch,
            seconds=seconds,
        )
        self._keep(rows)
        self._save()
        bar.set_postfix_str(_describe(train))
        if self.after_epoch is not None:
            self.after_epoch(self)

    def _keep(self, rows: Sequence[EpochScores]) -> None:
        """Add the scores of an epoch to the curves, and stop the runs that diverged."""
        diverged = find_diverged(self.networks, rows)
        for run in self.progress.learning:
            if run in diverged:
                self._stop_run(run)
            else:
                self.progress.curves[run].append(rows[run])

    @torch.no_grad()
    def _stop_run(self, run: int) -> None:
        """Save the last good weights of a run that diverged, and set its network to 0."""
        self.progress.diverged[run] = f"{self._phase_name}, epoch {self.progress.epoch}"
        self.folders[run].write_weights("last-good", self.last_good[run])
        if self.progress.curves[run]:
            self.folders[run].write_curves(self.progress.curves[run])
            self.folders[run].draw_curves(self.progress.curves[run])
        for parameter in self.networks.parameters.values():
            parameter[run].zero_()

    def _score_phase(self) -> None:
        """Write the weights of the phase and the curves, and keep the scores."""
        final = evaluate(self.networks, self.data.train)
        for run in self.progress.learning:
            if not final.loss[run].isfinite():
                self._stop_run(run)
                continue
            rows = self.progress.curves[run]
            self.progress.phases[run][self._phase_name] = score_phase(rows[-1], final.of(run))
            self.folders[run].write_weights(self._phase_name, self.networks.weights(run))
            self.folders[run].write_curves(rows)

    def _degenerate_ncut(self) -> float | None:
        """Return the n-cut if it is so near zero that the spec asks for another attempt."""
        is_last = self.progress.attempt >= MAX_ATTEMPTS
        if not self.spec.retrain_below or not self.progress.learning or is_last:
            return None
        # A worker that does not measure need not wait for numba.
        from clusterability.measuring import measure

        network = build(
            self.spec.network, self.data.shape, self.data.n_outputs, dropout=self.spec.dropout
        )
        network.load_state_dict(self.networks.weights(0))
        # An n-cut near zero is one that the published offset to the volumes has made so.
        ncut = measure(
            network,
            n_shuffles=0,
            seed=self.spec.seed,
            conventions="published",
            workers=1,
            device="cpu",
        ).ncut
        torch.set_num_threads(self.progress.threads)
        return ncut if ncut < self.spec.retrain_below else None

    def _finish(self) -> list[TrainedRun]:
        """Write the curves' figures and the records, which say that the runs are finished."""
        for i in self.progress.learning:
            self.folders[i].draw_curves(self.progress.curves[i])
        runs = [self._record(run) for run in range(len(self.specs))]
        for run, folder in zip(runs, self.folders, strict=True):
            folder.write_record(run)
        self.folders[0].remove_checkpoint()
        return runs

    def _record(self, run: int) -> TrainedRun:
        progress = self.progress
        return TrainedRun(
            spec=self.specs[run],
            folder=self.folders[run].path,
            phases=progress.phases[run],
            curves=tuple(progress.curves[run]),
            diverged=progress.diverged[run],
            attempts=tuple(progress.attempts),
            machine=describe_machine(self.data.device, progress.threads, progress.seconds),
            data_digest=self.data.digest,
            shape=self.data.shape,
            n_outputs=self.data.n_outputs,
        )


def _kinds(state: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}


def _describe(scores: Scores) -> str:
    """Return the text that follows a progress bar."""
    text = f"loss {scores.loss.mean():.4f}"
    return text if scores.accuracy is None else f"{text}, accuracy {scores.accuracy.mean():.4f}"
