"""The available memory, and a check that a file fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from clusterability.errors import InputError

_GROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Files in which a control group, such as a container's, tells its limit and what it uses."""


def available_memory(groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the number of bytes usable without swapping; None if the system does not tell.

    Args:
        groups: the folder of the control groups, whose limit holds too.
    """
    found = [_of_system(), *(_of_group(groups, *files) for files in _GROUPS)]
    return min((n_bytes for n_bytes in found if n_bytes is not None), default=None)


def _of_group(groups: Path, limit: str, used: str) -> int | None:
    """Return what a control group may still take, its file cache included; None without a limit."""
    try:
        statistics = (groups / used).with_name("memory.stat").read_text().split()
        cached = dict(zip(statistics[::2], statistics[1::2], strict=True)).get("inactive_file", "0")
        taken = int((groups / used).read_text()) - int(cached)
        return max(0, int((groups / limit).read_text()) - taken)
    except (OSError, ValueError):  # no such group, or a limit of "max"
        return None


def _of_system() -> int | None:
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
