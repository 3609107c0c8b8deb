"""Tasks are handed out and done, by processes of this machine or elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm

from clusterability.errors import InputError
from clusterability.experiments.estimates import Estimates
from clusterability.experiments.store import Store, Task, Where, can_be_written
from clusterability.experiments.worker import answer
from clusterability.files.memory import available_memory
from clusterability.processes import Worker, started_workers, work_in_all
from clusterability.training.pool import WORKER_MEMORY
from clusterability.workers import single_threaded_libraries

MODULE = "clusterability.experiments.worker"
REMEDY = "what is finished is kept, so give the same command again, with fewer --workers"
BUSY_SECONDS = 1.0
"""Time to wait before a task that another process has is asked for again."""


@dataclass
class Queue:
    """Tasks that are left, handed out to several threads in their order.

    Args:
        tasks: in the order in which they are done; each stands after what it needs.
        store: holds the results.
        estimates: seconds that a task takes.
        deadline: on the clock of :func:`time.monotonic`; a task that would end later is not begun.
    """

    tasks: Sequence[Task]
    store: Store
    estimates: Estimates
    deadline: float | None = None
    failed: dict[str, str] = field(default_factory=dict)
    n_left_out: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = [task for task in self.tasks if not task.is_done(self.store)]
        self._running: dict[str, float] = {}
        self._waits_until: dict[str, float] = {}
        self._estimated = {task.key: self.estimates.of(task) for task in self.tasks}
        self.n_seconds = sum(self._estimated[task.key] for task in self._waiting)
        self.n_finished = 0.0

    def count_waiting(self) -> int:
        """Return the number of tasks that are left, without those for which there is no time."""
        with self._lock:
            self._drop_hopeless()
            return len(self._waiting)

    def take(self) -> Task | None:
        """Wait for a task that can be done now, and return it; None if none is left."""
        while True:
            with self._lock:
                self._drop_hopeless()
                if not self._waiting:
                    return None
                for task in self._waiting:
                    if self._is_ready(task):
                        self._waiting.remove(task)
                        self._running[task.key] = time.monotonic()
                        return task
            time.sleep(0.05)

    def _is_ready(self, task: Task) -> bool:
        if self._waits_until.get(task.key, 0.0) > time.monotonic():
            return False
        before = task.needs()
        return before is None or before.is_done(self.store)

    def _drop_hopeless(self) -> None:
        """Forget the tasks that would end too late, and those whose task before failed."""
        kept = []
        for task in self._waiting:
            before = task.needs()
            if before is not None and before.key in self.failed:
                self.failed[task.key] = self.failed[before.key]
            elif (
                self.deadline is not None and self._seconds(task) > self.deadline - time.monotonic()
            ):
                self.n_left_out += 1
            else:
                kept.append(task)
        self._waiting[:] = kept

    def _seconds(self, task: Task) -> float:
        """Return the seconds until a task can be done."""
        before = task.needs()
        waits = before is not None and not before.is_done(self.store)
        if waits and before is not None and before.key not in self._running:
            return self._estimated[before.key] + self._estimated[task.key]
        return self._estimated[task.key]

    def give_back(self, task: Task) -> None:
        """Take a task again that another process is at, to look at it later."""
        with self._lock:
            del self._running[task.key]
            self._waits_until[task.key] = time.monotonic() + BUSY_SECONDS
            self._waiting.append(task)

    def finish(self, task: Task, error: str | None = None) -> None:
        """Say that a task is done, or why it cannot be."""
        with self._lock:
            del self._running[task.key]
            if error is not None:
                self.failed[task.key] = error
            self.n_finished += self._estimated[task.key]

    def stop(self, error: str) -> None:
        """Give up the tasks that are left, all for the same reason."""
        with self._lock:
            self.failed.update((task.key, error) for task in self._waiting)
            self._waiting.clear()

    @property
    def progress(self) -> float:
        """Seconds of work that is done, by the estimates, with the running tasks' share."""
        with self._lock:
            now, done = time.monotonic(), self.n_finished
            for key, started in self._running.items():
                done += min(now - started, 0.99 * self._estimated[key])
            return min(done, self.n_seconds)


def run_locally(queue: Queue, where: Where, n_workers: int, progress: bool = False) -> None:
    """Do the tasks in processes of one thread each, a single one in this process.

    Results do not depend on their number.

    Args:
        queue: of the tasks; afterwards :attr:`Queue.failed` has those that failed.
        where: how they use the machine.
        n_workers: number of processes; of more than there are tasks, or than fit into memory, the
            rest is not started.
        progress: show a bar with the time that is left, if standard error is a terminal.

    Raises:
        RunError: if a process died.
    """
    n_waiting = queue.count_waiting()
    if not n_waiting:
        return

    def message(task: Task) -> dict[str, Any]:
        folder = str(queue.store.folder)
        return {"task": task.to_dict(), "folder": folder, "where": asdict(where)}

    def work(_: int, worker: Worker) -> None:
        do_tasks(queue, lambda task: bool(worker.ask(message(task))["busy"]))

    n_workers = _affordable(min(n_workers, n_waiting))
    with shown_progress(queue, progress):
        if n_workers == 1:
            with single_threaded_libraries():
                do_tasks(queue, lambda task: bool(answer(message(task))["busy"]))
        else:
            with started_workers(MODULE, n_workers, REMEDY) as workers:
                work_in_all(work, workers)


def _affordable(n_workers: int) -> int:
    available = available_memory()
    return n_workers if available is None else max(1, min(n_workers, available // WORKER_MEMORY))


def do_tasks(queue: Queue, do: Callable[[Task], bool]) -> None:
    """Do one task after the other until none is left.

    Args:
        queue: of the tasks.
        do: does a task; returns whether another process is at it instead.
    """
    while (task := queue.take()) is not None:
        try:
            is_busy = do(task)
        except InputError as error:
            queue.finish(task, str(error))
            if not can_be_written(queue.store.folder):
                queue.stop(str(error))
            continue
        except BaseException:
            queue.finish(task, "it was stopped")
            raise
        if is_busy:
            queue.give_back(task)
        else:
            queue.finish(task)


@contextmanager
def shown_progress(queue: Queue, progress: bool) -> Iterator[None]:
    """Show one bar for all tasks while they are done, in seconds of estimated work."""
    ended = threading.Event()
    bar = tqdm(
        total=max(1, round(queue.n_seconds)),
        desc="reproducing",
        disable=None if progress and sys.stderr is not None else True,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left",
    )

    def follow() -> None:
        while not ended.wait(0.5):
            bar.update(round(queue.progress) - bar.n)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        bar.close()
