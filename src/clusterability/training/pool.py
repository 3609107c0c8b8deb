"""Several runs at once on a CPU, in processes that take turns."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from clusterability.datasets import Dataset
from clusterability.errors import RunError
from clusterability.files.memory import available_memory
from clusterability.processes import Worker, started_workers, work_in_all
from clusterability.training.machine import Machine
from clusterability.training.spec import TrainingSpec

WORKER_MEMORY = 600 * 2**20
"""Bytes that a process takes beside its data, most of them torch itself."""

MODULE = "clusterability.training.worker"
REMEDY = "the last finished epoch is saved, so try again with fewer workers"


def train_in_processes(
    specs: Sequence[TrainingSpec], dataset: Dataset, out: Path, machine: Machine, digest: str
) -> None:
    """Train each run to its end, in ``machine.workers`` processes.

    Args:
        specs: the runs; the caller holds their folders' locks.
        dataset: the same for all.
        out: holds the runs' folders.
        machine: with the number of threads of each process.
        digest: of the data set.

    Raises:
        InputError: the first that a process raised.
        RunError: likewise, or if a process died, or there is no room for a copy of the data.
    """
    waiting = deque(specs)
    always = {"out": str(out), "threads": machine.threads, "progress": machine.progress}

    def work(position: int, worker: Worker) -> None:
        while waiting:
            with suppress(IndexError):  # another thread took the last
                spec = waiting.popleft()
                message = {"spec": spec.to_dict(), "position": position, **always}
                if not worker.ask(message | {"max_epochs": _epochs_at_once(spec)})["finished"]:
                    waiting.append(spec)

    with ExitStack() as started:
        with written_data(dataset) as path:
            n_workers = min(machine.workers, len(specs))
            workers = started.enter_context(started_workers(MODULE, n_workers, REMEDY))
            message = {
                "path": str(path),
                "n_classes": dataset.n_classes,
                "reshuffled": dataset.reshuffled,
                "digest": digest,
            }
            work_in_all(lambda _, worker: worker.ask(message), workers)
        work_in_all(work, workers)


def _epochs_at_once(spec: TrainingSpec) -> int:
    """Return a tenth of a run's epochs: runs take turns, so that the last is not trained alone."""
    n_epochs = sum(spec.phase_epochs(phase) for phase in range(len(spec.phases)))
    return -(-n_epochs // 10)


def affordable_workers(n_workers: int, dataset: Dataset) -> int:
    """Return at most the number of workers whose copies of the data fit into memory."""
    available = available_memory()
    parts = [part for part in (dataset.train, dataset.test) if part is not None]
    n_numbers = sum(part.x.size + part.y.size * (dataset.n_classes or 1) for part in parts)
    needed = WORKER_MEMORY + 2 * 4 * n_numbers
    return n_workers if available is None else max(1, min(n_workers, available // needed))


@contextmanager
def written_data(dataset: Dataset) -> Iterator[Path]:
    """Write the data for the workers to a file, which is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="clusterability-") as folder:
        path = Path(folder) / "data.npz"
        write_data(path, dataset)
        yield path


def write_data(path: Path, dataset: Dataset) -> None:
    """Write the data set to a file for the workers."""
    arrays = {"x": dataset.train.x, "y": dataset.train.y}
    if dataset.test is not None:
        arrays |= {"test_x": dataset.test.x, "test_y": dataset.test.y}
    try:
        np.savez(path, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise RunError(
            f"cannot write the data for the other processes to {str(path.parent)!r} "
            f"({error.strerror or error}); free some space there, or use one worker"
        ) from None
