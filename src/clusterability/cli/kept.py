"""What an interrupted command has kept of its work, for the message with which it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clusterability.shown import show_path


@contextmanager
def told_what_is_kept(folder: str, patterns: Sequence[str], written: list[str]) -> Iterator[None]:
    """Say after an interrupt in which folder finished networks and checkpoints are kept.

    Args:
        folder: of the command's results.
        patterns: of the kept files below it; those written before this call do not count.
        written: the statement is appended to it.
    """
    started = time.time()
    try:
        yield
    except KeyboardInterrupt:
        paths = (path for pattern in patterns for path in Path(folder).glob(pattern))
        if any(_written(path) >= started for path in paths):
            written.append(
                f"checkpoints and finished networks in {show_path(folder)}; the same command goes "
                "on with them"
            )
        raise


def _written(path: Path) -> float:
    """Return when a file was written; 0 if another process has just taken it away."""
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
