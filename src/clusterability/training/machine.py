"""How a training uses the machine that it runs on."""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clusterability._version import __version__
from clusterability.arguments import DEVICES, device_name, find_device, one_of, whole


@dataclass(frozen=True)
class Machine:
    """Choices outside the spec; of these only device and threads change the rounding.

    Args:
        device: holds networks and data.
        threads: of torch, for each run; None for the number that suits the network.
        workers: runs at the same time on a CPU.
        progress: show a bar for each phase if standard error is a terminal.
    """

    device: torch.device
    threads: int | None
    workers: int
    progress: bool

    @classmethod
    def from_arguments(
        cls, device: str, threads: int | None, workers: int, progress: bool
    ) -> Machine:
        """Return the machine with the device of this name.

        Raises:
            InputError: if a value cannot be used, or there is no such device.
        """
        return cls(
            find_device(one_of("device", device, DEVICES)),
            None if threads is None else whole("threads", threads, 1, 10**4),
            whole("workers", workers, 1, 10**4),
            progress,
        )


def warn_if_emulated(precision: str, device: torch.device) -> None:
    """Warn if the device computes in this precision by other instructions than its own.

    A processor without instructions for bfloat16 takes many times as long as in float32.
    """
    if precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        warnings.warn(
            "this processor has no instructions for bfloat16, in which training takes many times "
            "as long here as in float32; interrupt it and take float32, or another machine",
            RuntimeWarning,
            stacklevel=4,
        )


def has_bfloat16() -> bool:
    """Return whether there are instructions for bfloat16; True where torch does not tell."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is None or bool(ask())


def describe_machine(device: torch.device, threads: int, seconds: float) -> dict[str, Any]:
    """Return the entry ``machine`` of ``run.json``: device, threads, seconds and versions."""
    return {
        "device": device_name(device),
        "threads": threads,
        "seconds": round(seconds, 3),
        "clusterability": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
