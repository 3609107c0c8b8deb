"""What an interrupted command has kept of its work, for the message with which it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clusterability.shown import show_path

NETWORKS = "checkpoints and finished networks"


@contextmanager
def told_what_is_kept(
    what: str, folder: str | None, patterns: Sequence[str], written: list[str]
) -> Iterator[None]:
    """Say after an interrupt in which folder the work is kept with which another call goes on.

    Args:
        what: is kept, such as finished graphs.
        folder: that keeps it; None if nothing is kept.
        patterns: of the files below it; empty ones and those written before this call are nothing.
        written: the statement is appended to it.
    """
    started = time.time()
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            paths = (path for pattern in patterns for path in Path(folder).glob(pattern))
            if any(_written(path) >= started for path in paths):
                written.append(f"{what} in {show_path(folder)}; the same command goes on with them")
        raise


def _written(path: Path) -> float:
    """Return when a file was written; 0 if it is empty or another process has just taken it."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime if found.st_size else 0.0
    return 0.0
