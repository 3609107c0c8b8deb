"""Runs that are trained together, from their last checkpoint to their end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from clusterability.errors import InputError
from clusterability.measuring import measure
from clusterability.training.augmentation import draw_transformations
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.checkpoint import Checkpoint, check_place, damage_named
from clusterability.training.divergence import are_finite
from clusterability.training.folders import RunFolder
from clusterability.training.loop import Scores, evaluate, sparsities, total_penalty, train_epoch
from clusterability.training.machine import Machine, describe_machine
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.networks import NETWORKS, build
from clusterability.training.penalty import Penalty, penalties_of
from clusterability.training.pruning import PruningSchedule
from clusterability.training.randomness import Randomness, Use
from clusterability.training.record import Attempt, EpochScores, PhaseScores, TrainedRun
from clusterability.training.samples import Data
from clusterability.training.spec import TrainingSpec
from clusterability.training.trainable import Trainable

MAX_ATTEMPTS = 10


class PausedError(Exception):
    """A training has had its epochs for now."""


class Training:
    """One run, or the runs of one stack.

    Args:
        specs: equal but for the seed.
        folders: one a run, locked.
        data: the same for all.
        machine: says how many threads of torch; a checkpoint keeps those it was begun with, since
            they change the rounding.
        position: the bar's line, where other processes have bars too.
    """

    def __init__(
        self,
        specs: Sequence[TrainingSpec],
        folders: Sequence[RunFolder],
        data: Data,
        machine: Machine,
        *,
        position: int | None = None,
    ) -> None:
        assert machine.threads is not None
        self.specs, self.folders, self.data = specs, folders, data
        self.spec = specs[0]
        self.threads, self.progress, self.position = machine.threads, machine.progress, position
        self.device = data.train.x.device
        self.attempts: list[Attempt] = []
        self.seconds = 0.0
        self.epochs_left = math.inf
        self.phase = self.epoch = self.attempt = 0
        self.randomness: list[Randomness] = []
        self.curves: list[list[EpochScores]] = []
        self.phases: list[dict[str, PhaseScores]] = []
        self.diverged: list[str | None] = []
        self.good: list[dict[str, Tensor]] = []
        self._begin(attempt=0)

    def train(self, max_epochs: int | None = None) -> list[TrainedRun]:
        """Go on from the checkpoint, if there is one, to the end.

        Raises:
            PausedError: if the end is not reached in ``max_epochs``; all that was done is saved.
        """
        self.epochs_left = math.inf if max_epochs is None else max_epochs
        checkpoint = self.folders[0].read_checkpoint(self._digest())
        if checkpoint is not None:
            with damage_named(self.folders[0].path):
                self._restore(checkpoint)
        torch.set_num_threads(self.threads)
        while not self._is_over():
            self._train_phase()
            self._score_phase()
            ncut = self._degenerate_ncut()
            if ncut is not None:
                self.attempts.append(Attempt(self.spec.phases[self.phase], ncut))
                self._begin(self.attempt + 1)
            elif self.phase + 1 < len(self.spec.phases):
                self.phase, self.epoch = self.phase + 1, 0
                self.networks.start_phase()
            else:
                break
        return self._finish()

    def _begin(self, attempt: int) -> None:
        """Draw the networks, before the first epoch."""
        n_runs = len(self.specs)
        self.attempt, self.phase, self.epoch = attempt, 0, 0
        self.randomness = [Randomness(spec.seed, attempt) for spec in self.specs]
        self.networks: Trainable = self._initialized()
        self.curves = [[] for _ in range(n_runs)]
        self.phases = [{} for _ in range(n_runs)]
        self.diverged = [None] * n_runs

    def _initialized(self) -> Trainable:
        spec = self.spec
        networks = [
            build(
                spec.network,
                self.data.shape,
                self.data.n_outputs,
                dropout=spec.dropout,
                generator=randomness.numpy(Use.INITIALIZATION),
            )
            for randomness in self.randomness
        ]
        if NETWORKS[spec.network].is_mlp:
            return MLPStack(networks, spec.learning_rate, self.device)
        (network,) = networks
        return AutogradNetwork(network, spec.learning_rate, self.device)

    def _restore(self, checkpoint: Checkpoint) -> None:
        n_epochs = [self.spec.phase_epochs(phase) for phase in range(len(self.spec.phases))]
        check_place(checkpoint, n_epochs, len(self.specs))
        self._begin(checkpoint.attempt)
        self.phase, self.epoch = checkpoint.phase, checkpoint.epoch
        self.curves, self.phases = checkpoint.curves, checkpoint.phases
        self.diverged, self.attempts = checkpoint.diverged, checkpoint.attempts
        self.seconds, self.threads = float(checkpoint.seconds), checkpoint.threads
        self.networks.load_state(checkpoint.state)
        # Copies broadcast and convert, so that other shapes and types would be taken.
        if _kinds(self.networks.state()) != _kinds(checkpoint.state):
            raise InputError("its tensors are those of another network")
        self.good = self._weights()

    def _save(self) -> None:
        self.folders[0].write_checkpoint(
            Checkpoint(
                self.networks.state(),
                self.attempt,
                self.phase,
                self.epoch,
                self.curves,
                self.phases,
                self.diverged,
                self.attempts,
                self.seconds,
                self.threads,
                self._digest(),
            )
        )

    def _digest(self) -> str:
        # Dropout's random numbers depend on the kind of device.
        device = [] if self.device.type == "cpu" else [self.device.type]
        return "-".join([*(spec.digest for spec in self.specs), self.data.digest, *device])

    def _is_over(self) -> bool:
        return all(self.diverged)

    def _train_phase(self) -> None:
        n_epochs = self.spec.phase_epochs(self.phase)
        n_samples, batch_size = len(self.data.train), self._batch_size
        n_steps = -(-n_samples // batch_size)
        schedule = None
        if self.spec.phases[self.phase] == "pruned":
            schedule = PruningSchedule.over(
                n_epochs * n_steps,
                self.spec.initial_sparsity,
                self.spec.final_sparsity,
                self.spec.pruning_interval,
            )
        with tqdm(
            total=n_epochs * n_steps,
            initial=self.epoch * n_steps,
            desc=f"{self.spec.name}, {self.spec.phases[self.phase]}",
            disable=None if self.progress and sys.stderr is not None else True,
            position=self.position,
            leave=False,
            unit="step",
        ) as bar:
            while self.epoch < n_epochs and not self._is_over():
                if self.epochs_left <= 0:
                    raise PausedError
                self._train_epoch(schedule, bar, self.epoch * n_steps)
                self.epochs_left -= 1

    @property
    def _batch_size(self) -> int:
        assert self.spec.batch_size is not None
        return self.spec.batch_size

    def _train_epoch(
        self, schedule: PruningSchedule | None, bar: tqdm[None], first_step: int
    ) -> None:
        started = time.perf_counter()
        self.good = self._weights()
        place = (self.phase, self.epoch)
        self.networks.start_epoch(
            [r.torch(Use.DROPOUT, *place, self.device) for r in self.randomness],
            self._transformations(place),
            self._penalties(),
        )
        scores = train_epoch(
            self.networks,
            self.data.train,
            self._order(place),
            self._batch_size,
            schedule=schedule,
            first_step=first_step,
            bar=bar,
        )
        self.epoch += 1
        test = None if self.data.test is None else evaluate(self.networks, self.data.test)
        seconds = time.perf_counter() - started
        self.seconds += seconds
        self._note(scores, test, seconds)
        self._save()
        bar.set_postfix_str(self._postfix(scores))

    def _order(self, place: tuple[int, int]) -> Tensor:
        n_samples = len(self.data.train)
        if not self.data.reshuffled:
            orders = [np.arange(n_samples)] * len(self.specs)
        else:
            orders = [r.numpy(Use.ORDER, *place).permutation(n_samples) for r in self.randomness]
        return torch.from_numpy(np.stack(orders)).to(self.device)

    def _transformations(self, place: tuple[int, int]) -> Tensor | None:
        if not self.spec.augment:
            return None
        generator = self.randomness[0].numpy(Use.AUGMENTATION, *place)
        drawn = draw_transformations(len(self.data.train), generator)
        return torch.from_numpy(drawn).to(self.device)

    def _weights(self) -> list[dict[str, Tensor]]:
        return [self.networks.weights(run) for run in range(self.networks.n_runs)]

    def _note(self, scores: Scores, test: Scores | None, seconds: float) -> None:
        """Add a line to the curves of each network that still learns."""
        penalty = total_penalty(self.networks, self._penalties())
        sparsity, finite = sparsities(self.networks), are_finite(self.networks)
        for run, rows in enumerate(self.curves):
            if self.diverged[run] is not None:
                continue
            numbers = [float(scores.loss[run]), penalty[run]]
            numbers += [] if test is None else [float(test.loss[run])]
            if not finite[run] or not all(math.isfinite(number) for number in numbers):
                self._note_divergence(run)
                continue
            rows.append(
                EpochScores(
                    self.spec.phases[self.phase],
                    self.epoch,
                    float(scores.loss[run]),
                    self._accuracy(scores, run),
                    None if test is None else float(test.loss[run]),
                    None if test is None else self._accuracy(test, run),
                    penalty[run],
                    sparsity[run],
                    seconds,
                )
            )

    def _note_divergence(self, run: int) -> None:
        self.diverged[run] = f"{self.spec.phases[self.phase]}, epoch {self.epoch}"
        self.folders[run].write_weights("last-good", self.good[run])
        if self.curves[run]:
            self.folders[run].write_curves(self.curves[run])
        with torch.no_grad():
            for parameter in self.networks.parameters.values():
                parameter[run].zero_()

    def _penalties(self) -> list[Penalty]:
        return penalties_of(self.spec, self.networks.kernel_names)

    def _accuracy(self, scores: Scores, run: int) -> float | None:
        return None if self.data.train.is_regression else float(scores.accuracy[run])

    def _postfix(self, scores: Scores) -> str:
        text = f"loss {scores.loss.mean():.4f}"
        if not self.data.train.is_regression:
            text += f", accuracy {scores.accuracy.mean():.4f}"
        return text

    def _score_phase(self) -> None:
        """Save the weights of the phase, and how good they are."""
        phase = self.spec.phases[self.phase]
        train = evaluate(self.networks, self.data.train)
        for run, rows in enumerate(self.curves):
            if self.diverged[run] is not None:
                continue
            if not math.isfinite(train.loss[run]):
                self._note_divergence(run)
                continue
            last = rows[-1]
            self.phases[run][phase] = PhaseScores(
                float(train.loss[run]),
                self._accuracy(train, run),
                last.train_loss,
                last.train_accuracy,
                last.test_loss,
                last.test_accuracy,
                last.penalty,
                last.sparsity,
            )
            self.folders[run].write_weights(phase, self.networks.weights(run))
            self.folders[run].write_curves(rows)

    def _degenerate_ncut(self) -> float | None:
        """The n-cut, if it is so near zero that the spec asks for another attempt."""
        if not self.spec.retrain_below or self._is_over() or self.attempt >= MAX_ATTEMPTS:
            return None
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
        torch.set_num_threads(self.threads)
        return ncut if ncut < self.spec.retrain_below else None

    def _finish(self) -> list[TrainedRun]:
        runs = [self._record(run) for run in range(len(self.specs))]
        for run, folder in zip(runs, self.folders, strict=True):
            folder.write_record(run)
        self.folders[0].remove_checkpoint()
        return runs

    def _record(self, run: int) -> TrainedRun:
        return TrainedRun(
            spec=self.specs[run],
            folder=self.folders[run].path,
            phases=self.phases[run],
            curves=tuple(self.curves[run]),
            diverged=self.diverged[run],
            attempts=tuple(self.attempts),
            machine=describe_machine(self.device, self.threads, self.seconds),
            data_digest=self.data.digest,
            shape=self.data.shape,
            n_outputs=self.data.n_outputs,
        )


def _kinds(state: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}
