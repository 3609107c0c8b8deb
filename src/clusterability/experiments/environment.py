"""The machine and the versions behind a result."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clusterability.workers import available_workers

PACKAGES = ("clusterability", "torch", "numpy", "scipy", "numba", "scikit-learn")


def environment(more: Sequence[str] = ()) -> dict[str, object]:
    """Return Python, system, processor and the versions of packages that are there.

    Args:
        more: packages beside those of :data:`PACKAGES`.
    """
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "processors": available_workers(),
        "packages": {name: found for name in (*PACKAGES, *more) if (found := _version(name))},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return models[0].split(":", 1)[1].strip() if models else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
