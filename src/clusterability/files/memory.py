"""How much memory there is, so that a file cannot ask for more."""

from __future__ import annotations

import os
from pathlib import Path

from clusterability.errors import InputError


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    try:
        # Free pages alone leave out the page cache, which on Linux is most of what is available.
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def check_fits(what: str, n_bytes: int) -> None:
    """Refuse to take more memory than there is.

    Raises:
        InputError: if ``n_bytes`` is more than the memory available.
    """
    available = available_memory()
    if available is not None and n_bytes > available:
        raise InputError(
            f"{what} holds {n_bytes / 1e9:.1f} GB, more than the {available / 1e9:.1f} GB of "
            "memory available"
        )
