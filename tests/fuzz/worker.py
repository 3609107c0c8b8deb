"""Reads files in a process with limits, and says how each ended."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import resource
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from clusterability.errors import InputError
from fuzz.formats import Format

MOST_SECONDS = 20.0
"""After which a reader counts as hanging."""

MOST_PROCESSOR_SECONDS = 5.0
"""After which it counts as slow."""

MOST_MB = 1200.0
"""That reading one small file may take."""

ADDRESS_SPACE = 6 * 2**30
"""Beyond what the process has at its beginning: then it gets no more memory."""


@dataclass(frozen=True)
class Outcome:
    """How the reading of a file ended.

    Attributes:
        kind: ``read``, ``refused``, or a fault: ``traceback``, ``hang``, ``slow``, ``died``,
            ``memory``.
        text: the message, or the traceback.
        seconds: of the processor that it took.
    """

    kind: str
    text: str
    seconds: float = 0.0

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("read", "refused")


class Worker:
    """A process that reads files of one format, started anew after a fault."""

    def __init__(self, form: Format, folder: Path) -> None:
        self.form, self.path = form, folder / form.file
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for name, data in form.beside().items():
            (folder / name).write_bytes(data)
        self._process: Any = None
        self._pipe: Connection

    def read(self, data: bytes) -> Outcome:
        self.path.write_bytes(data)
        if self._process is None:
            self._start()
        self._pipe.send(None)
        try:
            if not self._pipe.poll(MOST_SECONDS):
                outcome = Outcome("hang", f"reads for {MOST_SECONDS:g} s")
            else:
                outcome = self._pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter where it never took the word to read
            self._process.join()
            outcome = Outcome("died", f"exit code {self._process.exitcode}")
        if outcome.is_fault:
            self.stop()
        return outcome

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self.form, self.path, theirs), daemon=True
        )
        self._process.start()
        theirs.close()


def _serve(form: Format, path: Path, pipe: Connection) -> None:
    limit = 1024 * _memory("VmSize") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Files that a reader writes by mistake lie in the way of nobody.
    os.chdir(path.parent)
    warnings.simplefilter("ignore")
    parent = os.getppid()
    while True:
        while not pipe.poll(1):
            if os.getppid() != parent:  # which has died
                return
        pipe.recv()
        pipe.send(outcome_of(form, path))


def outcome_of(form: Format, path: Path) -> Outcome:
    """Read a file in this process."""
    before, started = _reset_peak(), time.process_time()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            form.read(path)
        kind, text = "read", ""
    except InputError as error:
        kind, text = "refused", str(error)
    except BaseException:
        return Outcome("traceback", traceback.format_exc())
    seconds = time.process_time() - started
    taken = (_memory("VmHWM") - before) * 1024 / 1e6
    if taken > MOST_MB:
        return Outcome("memory", f"{taken:.0f} MB; {kind}: {text}", seconds)
    if seconds > MOST_PROCESSOR_SECONDS:
        return Outcome("slow", f"{seconds:.1f} s; {kind}: {text}", seconds)
    if "\n" in text or not text.isprintable():
        return Outcome("traceback", f"a message that is not one printable line: {text!r}", seconds)
    return Outcome(kind, text, seconds)


def _reset_peak() -> int:
    """Forget the most memory that was taken so far; returns what is taken now, in KiB."""
    if _memory("VmHWM") - _memory("VmRSS") > 50_000:
        gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)
