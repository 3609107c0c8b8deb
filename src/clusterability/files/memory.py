"""The available memory, and a check that a file fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from clusterability.errors import InputError


def available_memory() -> int | None:
    """Return the number of bytes usable without swapping; None if the system does not tell."""
    try:
        # MemFree leaves out the page cache, most of the available memory on Linux.
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def check_fits(subject: str, n_bytes: int) -> None:
    """Refuse an object that is larger than the available memory.

    Raises:
        InputError: if ``n_bytes`` exceeds the available memory.
    """
    available = available_memory()
    if available is not None and n_bytes > available:
        raise InputError(
            f"{subject} holds {n_bytes / 1e9:.1f} GB, more than the {available / 1e9:.1f} GB of "
            "memory available"
        )
