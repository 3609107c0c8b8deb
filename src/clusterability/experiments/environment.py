"""What a benchmark ran on, for its JSON."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("clusterability", "torch", "numpy", "scipy", "numba", "scikit-learn")


def environment(more: Sequence[str] = ()) -> dict[str, object]:
    """Return processor and versions, those of ``more`` packages too."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "packages": {name: version(name) for name in (*PACKAGES, *more)},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return models[0].split(":", 1)[1].strip() if models else platform.machine()
