"""Worker processes that answer messages, a line of JSON each.

Networks in two threads would train nearly as slowly as in turn: a step has dozens of operations,
and at each the threads pass on the interpreter's lock. The processes are not those of
:mod:`multiprocessing`, so that a script that uses them needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import clusterability
from clusterability.errors import InputError, RunError
from clusterability.workers import wait_for_any

Message = dict[str, Any]

Kind = TypeVar("Kind")

ERRORS = {kind.__name__: kind for kind in (InputError, RunError, OSError)}
"""Errors that a process names in its answer, to be raised by the parent."""


class Worker:
    """A process that runs a module of this package, which calls :func:`serve`.

    Args:
        module: its name.
        remedy: what to do when the process dies, for the message.
    """

    def __init__(self, module: str, remedy: str) -> None:
        self._remedy = remedy
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=_environment(),
            # An interrupt from the terminal is for the parent alone.
            start_new_session=True,
        )

    def ask(self, message: Message) -> Message:
        """Send a message, and wait for the answer.

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
                f"a worker process ended with {code}, expected it to finish, perhaps for want of "
                f"memory; {self._remedy}"
            )
        answer: Message = json.loads(line)
        if "error" in answer:
            raise ERRORS[answer["error"]](answer["message"])
        return answer


@contextlib.contextmanager
def started_workers(module: str, n_workers: int, remedy: str) -> Iterator[list[Worker]]:
    """Start processes that run a module, and end them at the end; see :class:`Worker`."""
    workers: list[Worker] = []
    try:
        while len(workers) < n_workers:
            workers.append(Worker(module, remedy))
        yield workers
    finally:
        for worker in workers:
            # A worker ends where its input ends, in the middle of its work too.
            with contextlib.suppress(OSError):
                assert worker.process.stdin is not None
                worker.process.stdin.close()
        for worker in workers:
            worker.process.wait()
            assert worker.process.stdout is not None
            worker.process.stdout.close()


def work_in_all(work: Callable[[int, Kind], object], workers: Sequence[Kind]) -> None:
    """Let every worker work to its end, also if another fails, and then raise the first error.

    Args:
        work: called in a thread for each worker, with its position and the worker.
        workers: processes, or whatever does the work.
    """
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


def serve(answer: Callable[[Message], Message]) -> NoReturn:
    """Answer the messages on standard input on standard output, until the input ends.

    Args:
        answer: returns the answer to a message; what it raises of :data:`ERRORS` is sent back.
    """
    # The parent answers an interrupt; when it ends, the input ends, and with it this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        try:
            found = answer(json.loads(lines.get()))
        except tuple(ERRORS.values()) as error:
            kind = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
            found = {"error": kind, "message": str(error)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _listen(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # Files are written whole or not at all, so that nothing is damaged.
    os._exit(0)


def _environment() -> dict[str, str]:
    """Return the parent's environment, with the folder from which it imported the package."""
    home = str(Path(clusterability.__file__).parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{path}" if path else home}
