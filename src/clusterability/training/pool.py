"""Several runs at once on a CPU, in processes that take turns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import clusterability
from clusterability.datasets import Dataset
from clusterability.errors import InputError, RunError
from clusterability.files.memory import available_memory
from clusterability.training.machine import Machine
from clusterability.training.spec import TrainingSpec
from clusterability.workers import wait_for_any

WORKER_MEMORY = 600 * 2**20
"""Bytes that a process takes beside its data, most of them torch itself."""

ERRORS = {kind.__name__: kind for kind in (InputError, RunError, OSError)}
"""Errors that a process names in its answer, to be raised here."""


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
            with contextlib.suppress(IndexError):  # another thread took the last
                spec = waiting.popleft()
                message = {"spec": spec.to_dict(), "position": position, **always}
                if not worker.ask(message | {"max_epochs": _epochs_at_once(spec)}):
                    waiting.append(spec)

    with _workers(min(machine.workers, len(specs))) as workers:
        _hand_out(dataset, digest, workers)
        _work_in_all(work, workers)


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


class Worker:
    """A process that trains one run after the other, as the messages to it say."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "clusterability.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=_environment(),
            # An interrupt from the terminal is for the parent alone.
            start_new_session=True,
        )

    def ask(self, message: dict[str, Any]) -> bool:
        """Send a message, wait for the answer, and return whether the work is finished.

        Raises:
            InputError, RunError, OSError: that the process raised.
            RunError: if the process died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise RunError(
                f"a process that trained ended with {code}, expected it to finish, perhaps for "
                "want of memory; the last finished epoch is saved, so try again with fewer workers"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise ERRORS[answer["error"]](answer["message"])
        return bool(answer["finished"])


def _environment() -> dict[str, str]:
    """Return the parent's environment, with the folder from which it imported the package."""
    home = str(Path(clusterability.__file__).parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{path}" if path else home}


@contextlib.contextmanager
def _workers(n_workers: int) -> Iterator[list[Worker]]:
    workers: list[Worker] = []
    try:
        while len(workers) < n_workers:
            workers.append(Worker())
        yield workers
    finally:
        for worker in workers:
            # A worker ends where its input ends, in the middle of an epoch too.
            with contextlib.suppress(OSError):
                assert worker.process.stdin is not None
                worker.process.stdin.close()
        for worker in workers:
            worker.process.wait()
            assert worker.process.stdout is not None
            worker.process.stdout.close()


def _work_in_all(work: Callable[[int, Worker], object], workers: Sequence[Worker]) -> None:
    """Let every worker work to its end, also if another fails, and then raise the first error."""
    pool = ThreadPoolExecutor(len(workers))
    try:
        futures = [pool.submit(work, *numbered) for numbered in enumerate(workers)]
        running = set(futures)
        while running:
            running -= wait_for_any(running)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    for future in futures:
        future.result()


def _hand_out(dataset: Dataset, digest: str, workers: Sequence[Worker]) -> None:
    """Give each worker the data, through a file that is deleted before the training begins."""
    with tempfile.TemporaryDirectory(prefix="clusterability-") as folder:
        path = Path(folder) / "data.npz"
        write_data(path, dataset)
        message = {
            "path": str(path),
            "n_classes": dataset.n_classes,
            "reshuffled": dataset.reshuffled,
            "digest": digest,
        }
        _work_in_all(lambda _, worker: worker.ask(message), workers)


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
