"""The verb: train networks, one run or several at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from clusterability.arguments import whole
from clusterability.datasets import Dataset, load_dataset
from clusterability.errors import InputError, RunError
from clusterability.training.fitting import check_fit, default_threads, is_worth_processes
from clusterability.training.folders import RunFolder
from clusterability.training.machine import Machine, warn_if_emulated
from clusterability.training.memory import explain_lack_of_memory
from clusterability.training.networks import NETWORKS
from clusterability.training.pool import affordable_workers, train_in_processes
from clusterability.training.record import TrainedRun
from clusterability.training.samples import data_digest, place
from clusterability.training.spec import TrainingSpec
from clusterability.training.torch_settings import training_settings
from clusterability.training.training import Training
from clusterability.workers import available_workers


class DivergedError(RunError):
    """The loss of some runs became NaN or infinite; the others are finished.

    Args:
        runs: all of them.

    >>> from tempfile import TemporaryDirectory
    >>> spec = TrainingSpec("small-mlp", "digits", learning_rate=1e30, epochs=1)
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         train(spec, out=folder, device="cpu")
    ...     except DivergedError as error:
    ...         print(error.runs[0].diverged)
    unpruned, epoch 1
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        diverged = [run for run in runs if run.diverged]
        run, more = diverged[0], len(diverged) - 1
        others = f" (and of {more} more)" if more else ""
        super().__init__(
            f"the loss of {run.spec.name}{others} became NaN or infinite ({run.diverged}); its "
            "last good weights are in last-good.safetensors in its folder; lower the learning rate "
            "or the penalties, or scale the data"
        )
        self.runs = list(runs)


def train(
    spec: TrainingSpec,
    *,
    data: Dataset | None = None,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = False,
) -> TrainedRun:
    """Train one network, or go on with a run that was stopped, or return a finished one.

    The run's folder ``out/spec.name`` holds its weights before and after pruning, its curves and
    its record. After each epoch everything is saved, so that a run can be killed at any moment.

    Args:
        spec: the run. If it belongs to a stack, the whole stack is trained.
        data: in place of the data set that ``spec.dataset`` names.
        out: holds the folders of all runs.
        data_dir: where data sets lie; see :func:`clusterability.datasets.load_dataset`.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
        threads: number of torch's threads; by default all processors, or 1 if the network is
            small. It changes the rounding and so, in the long run, the weights; the record has it.
        progress: show a bar for each phase if standard error is a terminal.

    Returns:
        The record, with :meth:`TrainedRun.network`.

    Raises:
        InputError: if the spec does not fit the data, or the folder cannot be used.
        DivergedError: if the loss became NaN or infinite.
        RunError: if there is not enough memory.

    >>> from tempfile import TemporaryDirectory
    >>> spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0)
    >>> with TemporaryDirectory() as folder:
    ...     run = train(spec, out=folder, device="cpu")
    >>> list(run.phases), run.shape, run.n_outputs
    (['unpruned'], (1, 8, 8), 10)
    """
    machine = Machine.from_arguments(device, threads, 1, progress)
    seeds = spec.stack or (spec.seed,)
    specs = [dataclasses.replace(spec, seed=seed) for seed in seeds]
    with training_settings():
        dataset = _find_data(spec, data, data_dir, progress)
        runs = _train_all(specs, dataset, Path(out), machine)
    run = runs[seeds.index(spec.seed)]
    _check_diverged([run])
    return run


def train_many(
    spec: TrainingSpec,
    n_runs: int,
    *,
    stacked: bool | None = None,
    data: Dataset | None = None,
    out: str | Path = "runs",
    data_dir: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> list[TrainedRun]:
    """Train the seeds ``spec.seed`` to ``spec.seed + n_runs - 1`` at once.

    On a GPU the weights of MLPs are stacked, and share each product. On a CPU each run has a
    process with one thread of torch, which is faster there; so the numbers do not depend on
    ``workers``.

    Args:
        spec: the first run.
        n_runs: number of runs.
        stacked: whether the weights are stacked; by default if that is faster.
        data, out, data_dir, device, progress: see :func:`train`.
        threads: number of torch's threads for each run; by default as in :func:`train` for one run
            or a stack, and 1 for each of several.
        workers: number of runs at the same time on a CPU; by default the number of processors.

    Returns:
        The records by seed.

    Raises:
        InputError: as :func:`train`.
        DivergedError: if the loss of any became NaN or infinite; the others are finished.
        RunError: if there is not enough memory, or a process died.

    >>> from tempfile import TemporaryDirectory
    >>> spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0)
    >>> with TemporaryDirectory() as folder:
    ...     runs = train_many(spec, 2, out=folder, device="cpu", workers=1)
    >>> [run.spec.seed for run in runs]
    [0, 1]
    """
    n_runs = whole("runs", n_runs, 1, 10**5)
    if spec.stack:
        raise InputError(f"the spec has a stack already, {spec.stack}; leave it empty")
    n_workers = available_workers() if workers is None else workers
    machine = Machine.from_arguments(device, threads, n_workers, progress)
    can_stack = NETWORKS[spec.network].is_mlp and not spec.retrain_below and n_runs > 1
    if stacked is None:
        stacked = can_stack and machine.device.type == "cuda"
    elif stacked and not can_stack:
        raise InputError(
            "stacked is True, expected several runs of an MLP without retrain_below; leave it out"
        )
    seeds = tuple(range(spec.seed, spec.seed + n_runs))
    stack = seeds if stacked else ()
    specs = [dataclasses.replace(spec, seed=seed, stack=stack) for seed in seeds]
    if threads is None and not stacked and n_runs > 1:
        machine = dataclasses.replace(machine, threads=1)
    with training_settings():
        dataset = _find_data(spec, data, data_dir, progress)
        runs = _train_all(specs, dataset, Path(out), machine)
    _check_diverged(runs)
    return runs


def _find_data(
    spec: TrainingSpec, data: Dataset | None, data_dir: str | Path | None, progress: bool
) -> Dataset:
    """Return the given data set, or the one that the spec names."""
    if data is None:
        return load_dataset(spec.dataset, seed=spec.data_seed, data_dir=data_dir, progress=progress)
    if not isinstance(data, Dataset):
        raise InputError(
            f"data is of type {type(data).__name__}, expected a Dataset; make one with "
            "clusterability.datasets.dataset_from_arrays(x, y)"
        )
    return data


def _train_all(
    specs: Sequence[TrainingSpec], dataset: Dataset, out: Path, machine: Machine
) -> list[TrainedRun]:
    """Lock the runs' folders, and train those that are not finished."""
    spec = specs[0]
    check_fit(spec, dataset)
    if machine.threads is None:
        machine = dataclasses.replace(machine, threads=default_threads(spec, dataset))
    folders = [RunFolder(out, spec) for spec in specs]
    with ExitStack() as locks, explain_lack_of_memory():
        for folder in folders:
            locks.enter_context(folder)
        digest = data_digest(dataset)
        found = [folder.finished_run(digest) for folder in folders]
        groups = _groups(specs, found)
        _clear(folders, groups)
        if groups:
            warn_if_emulated(spec.precision, machine.device)
        n_parallel = affordable_workers(min(machine.workers, len(groups)), dataset)
        parallel = n_parallel > 1 and machine.device.type == "cpu"
        if parallel and is_worth_processes(spec, dataset, len(groups)):
            unfinished = [specs[i] for (i,) in groups]
            machine = dataclasses.replace(machine, workers=n_parallel)
            train_in_processes(unfinished, dataset, out, machine, digest)
            found = [folder.finished_run(digest) for folder in folders]
        elif groups:
            data = place(dataset, machine.device, digest)
            for group in groups:
                ours = [specs[i] for i in group], [folders[i] for i in group]
                runs = Training(*ours, data, machine).train()
                for i, run in zip(group, runs, strict=True):
                    found[i] = run
    return [run for run in found if run is not None]


def _groups(specs: Sequence[TrainingSpec], found: Sequence[TrainedRun | None]) -> list[list[int]]:
    """Return the indices of the runs to train, those of a stack together."""
    if specs[0].stack:
        return [list(range(len(specs)))] if None in found else []
    return [[i] for i, run in enumerate(found) if run is None]


def _clear(folders: Sequence[RunFolder], groups: Sequence[Sequence[int]]) -> None:
    """Delete the checkpoints of finished runs, which a kill right after the record leaves."""
    to_train = {i for group in groups for i in group}
    for i, folder in enumerate(folders):
        if i not in to_train:
            folder.remove_checkpoint()


def _check_diverged(runs: Sequence[TrainedRun]) -> None:
    if any(run.diverged for run in runs):
        raise DivergedError(runs)
