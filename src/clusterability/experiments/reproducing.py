"""The verb: reproduce tables and figures of the paper in one folder."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterability._version import __version__
from clusterability.arguments import DEVICES, find_device, number, one_of, whole
from clusterability.errors import InputError, RunError
from clusterability.experiments.environment import environment
from clusterability.experiments.estimates import Estimates
from clusterability.experiments.imagenet import REMEDY, MeasureFile, find_files
from clusterability.experiments.plan import (
    MAX_EPOCHS,
    MAX_RUNS,
    all_tasks,
    datasets_of,
    find_experiments,
    known_experiments,
    missing_datasets,
    missing_sources,
    needs_files,
)
from clusterability.experiments.records import READINGS, Experiment
from clusterability.experiments.running import Queue, run_locally
from clusterability.experiments.store import Store, Where, make_folder, parse_object
from clusterability.experiments.tasks import Train
from clusterability.files.writing import write_whole
from clusterability.shown import escaped, show_path, shown
from clusterability.training.record import read_beside
from clusterability.workers import available_workers

NUMBERS_VERSION = 2
"""Grows when the same training or drawing gives other numbers, so that old and new ones are kept
apart. Measurements have a version of their own."""

ABOUT = "reproduction.json"


@dataclass(frozen=True)
class Overview:
    """One experiment, before anything is done.

    Args:
        experiment: the record.
        n_finished, n_wanted: trained networks.
        seconds: of work that is left, on one processor.
        datasets: that it needs.
        missing: of these, the ones that are not here.
        needs_files: whether it is of networks that others have trained.
    """

    experiment: Experiment
    n_finished: int
    n_wanted: int
    seconds: float
    datasets: Sequence[str]
    missing: Sequence[str]
    needs_files: bool


@dataclass(frozen=True)
class Reproduction:
    """What was done.

    Args:
        folder: holds the tables, the figures and ``index.html``.
        written: paths of the files.
        failed: by task, why it could not be done.
        n_left_out: tasks for which there was no time.
    """

    folder: Path
    written: Sequence[Path]
    failed: dict[str, str]
    n_left_out: int


def overview(
    out: str | Path = "reproduction",
    *,
    conventions: str = "published",
    n_runs: int | None = None,
    max_epochs: int | None = None,
    data_dir: str | None = None,
) -> list[Overview]:
    """Return for each experiment what is there and what is left.

    Args:
        out: folder of the results.
        conventions, n_runs, max_epochs, data_dir: see :func:`reproduce`.

    >>> overview("nowhere")[0].n_wanted
    20
    """
    one_of("conventions", conventions, READINGS)
    n_runs, max_epochs = _checked_runs(n_runs), _checked_epochs(max_epochs)
    store = Store(Path(out))
    estimates = Estimates(store)
    found = []
    for experiment in known_experiments(max_epochs).values():
        tasks = all_tasks([experiment], conventions, n_runs)
        trained = [task for task in tasks if isinstance(task, Train)]
        found.append(
            Overview(
                experiment,
                sum(task.is_done(store) for task in trained),
                len(trained),
                sum(estimates.of(task) for task in tasks if not task.is_done(store)),
                datasets_of(experiment, conventions),
                missing_datasets(experiment, conventions, data_dir),
                needs_files(experiment),
            )
        )
    return found


def reproduce(
    names: Sequence[str],
    *,
    out: str | Path = "reproduction",
    n_runs: int | None = None,
    max_epochs: int | None = None,
    conventions: str = "published",
    workers: int | None = None,
    device: str = "cpu",
    data_dir: str | None = None,
    hours: float | None = None,
    ray: str | None = None,
    weights_dir: str | None = None,
    progress: bool = False,
) -> Reproduction:
    """Train, measure, and write tables and figures of the paper beside the published numbers.

    What is finished in the folder is not done again, so that a stopped reproduction goes on, and
    several processes with one folder share the work.

    Args:
        names: of the experiments, such as ``"table-a6"``; ``"tables"``, ``"figures"`` or ``"all"``.
        out: folder of the results, made if need be.
        n_runs: networks of each line; by default as many as the paper has.
        max_epochs: of training and of pruning, where that is less than in the paper; such tables
            and figures say so, and lie in a folder of their own.
        conventions: ``"published"``, as the published numbers were made, or ``"paper"``, as its
            text says.
        workers: tasks at a time; by default one a processor. No number depends on it.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        data_dir: where data sets lie.
        hours: begin no task that would not end in this time.
        ray: address of a Ray cluster, or ``"auto"``; by default this machine's own processes.
        weights_dir: folder with the files of networks trained on ImageNet, for table A.11 and
            figure 10; without it ``"all"`` leaves them out.
        progress: show a bar if standard error is a terminal.

    Raises:
        InputError: if a name or a device is unknown, data or the GPU are missing, or the folder
            cannot be used.
        RunError: if a process died; the tables hold what was finished before.
    """
    one_of("conventions", conventions, READINGS)
    # The list of experiments need not wait for the drawings.
    from clusterability.experiments.written import write_experiments

    n_runs, max_epochs = _checked_runs(n_runs), _checked_epochs(max_epochs)
    experiments = _chosen(names, weights_dir, max_epochs)
    _check_device(device, ray)
    n_workers = available_workers() if workers is None else whole("workers", workers, 1, 10**4)
    deadline = None if hours is None else time.monotonic() + 3600 * number("hours", hours)
    _check_data(experiments, conventions, data_dir)
    store = Store(Path(out))
    _open(store.folder)
    tasks = all_tasks(experiments, conventions, n_runs, weights_dir)
    queue = Queue(tasks, store, Estimates(store), deadline)
    where = Where(None if data_dir is None else str(Path(data_dir).absolute()), device)
    started, broken = time.perf_counter(), None
    try:
        _run(queue, where, n_workers, ray, progress)
    except RunError as error:
        broken = error
    seconds = time.perf_counter() - started
    for task in tasks:
        if isinstance(task, MeasureFile):
            task.mark_as_chosen(store)
    command = _command(names, conventions, n_runs, max_epochs, device, weights_dir)
    written = write_experiments(
        experiments, store, conventions, n_runs, max_epochs, data_dir, _facts(seconds, command)
    )
    if broken is not None:
        raise broken
    folder = written[-1].parent
    return Reproduction(folder, written, queue.failed, queue.n_left_out)


def _run(queue: Queue, where: Where, n_workers: int, ray: str | None, progress: bool) -> None:
    """Do the tasks here, or on a cluster."""
    if ray is None:
        run_locally(queue, where, n_workers, progress)
        return
    from clusterability.experiments.on_ray import run_on_ray

    run_on_ray(queue, where, ray, progress)


def _checked_runs(n_runs: int | None) -> int | None:
    return None if n_runs is None else whole("runs", n_runs, 1, MAX_RUNS)


def _checked_epochs(max_epochs: int | None) -> int | None:
    return None if max_epochs is None else whole("epochs", max_epochs, 1, MAX_EPOCHS)


def _check_device(device: str, ray: str | None) -> None:
    """Refuse a device before anything is begun; nodes of a cluster find their own GPUs."""
    one_of("device", device, DEVICES)
    if ray is None:
        find_device(device)


def _chosen(
    names: Sequence[str], weights_dir: str | None, max_epochs: int | None
) -> list[Experiment]:
    """Return the experiments of these names, and refuse those whose files are not here."""
    found = find_experiments(names, max_epochs)
    if weights_dir is not None:
        find_files(weights_dir)
        return found
    by_name = [e for e in found if e.name in {name.lower().replace(".", "") for name in names}]
    of_files = next((e.name for e in by_name if needs_files(e)), None)
    if of_files is not None:
        raise InputError(
            f"{of_files} needs files of networks that others have trained, in one folder; {REMEDY}"
        )
    return [experiment for experiment in found if not needs_files(experiment)]


def _check_data(experiments: Sequence[Experiment], reading: str, data_dir: str | None) -> None:
    """Refuse experiments whose data are not here before anything is trained."""
    missing = missing_sources(experiments, reading, data_dir)
    if not missing:
        return
    first, *others = missing
    also = "".join(f", nor is {name!r}, which {missing[name]} needs" for name in others)
    raise InputError(
        f"{missing[first]} needs the data set {first!r}, which is not here{also}; run "
        f"clusterability datasets {first} --download{' and so on' if others else ''}, or name the "
        "folder of the files with --data-dir or CLUSTERABILITY_DATA"
    )


def _open(folder: Path) -> None:
    """Make the folder, or refuse one whose numbers come from another version."""
    path = folder / ABOUT
    make_folder(folder)
    if not path.exists():
        about: dict[str, Any] = {"numbers_version": NUMBERS_VERSION, "version": __version__}
        write_whole(path, (json.dumps(about, indent=1) + "\n").encode())
        return
    remedy = "if the results of this version lie in its folder, or give another --out"
    about = read_beside(path, parse_object, remedy) or {}
    if about.get("numbers_version") != NUMBERS_VERSION:
        raise InputError(
            f"{show_path(folder)} holds results of version {shown(str(about.get('version')))} of "
            "clusterability, whose numbers differ from this one's; give another --out"
        )


def _command(
    names: Sequence[str],
    reading: str,
    n_runs: int | None,
    max_epochs: int | None,
    device: str,
    weights_dir: str | None,
) -> str:
    """Return the command that gives the same numbers."""
    parts = ["clusterability reproduce", *names, f"--conventions {reading}"]
    parts += [] if n_runs is None else [f"--runs {n_runs}"]
    parts += [] if max_epochs is None else [f"--epochs {max_epochs}"]
    parts += [] if device == "cpu" else [f"--device {device}"]
    parts += [] if weights_dir is None else [f"--weights-dir {shlex.quote(escaped(weights_dir))}"]
    return " ".join(parts)


def _facts(seconds: float, command: str) -> list[str]:
    found: dict[str, Any] = environment()
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return [
        command,
        f"{found['processor']}, {found['processors']} processors, {found['system']}, Python "
        f"{found['python']}, {packages}",
        f"this call took {seconds / 60:.1f} minutes; what was finished before is in the records "
        "of the runs",
    ]
