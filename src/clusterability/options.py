"""The choices that :func:`clusterability.measure` takes, checked before any work."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch

from clusterability.errors import InputError
from clusterability.nulls import NULLS
from clusterability.ties import TIES
from clusterability.workers import available_workers

ISOLATED = ("drop-first", "drop-after")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Options:
    """Checked arguments of :func:`clusterability.measure`."""

    n_clusters: int
    n_shuffles: int
    seed: int
    null: str
    isolated: str
    ties: str
    n_init: int | None
    workers: int
    device: torch.device


def check_options(
    *,
    n_clusters: int,
    n_shuffles: int,
    seed: int,
    null: str,
    isolated: str,
    ties: str,
    n_init: int | None,
    workers: int | None,
    device: str,
) -> Options:
    """Check each argument.

    Raises:
        InputError: that names the first one that cannot be used, and what can.
    """
    return Options(
        n_clusters=whole("n_clusters", n_clusters, 2),
        n_shuffles=whole("n_shuffles", n_shuffles, 0, 10**7),
        seed=whole("seed", seed, 0),
        null=one_of("null", null, NULLS),
        isolated=one_of("isolated", isolated, ISOLATED),
        ties=one_of("ties", ties, TIES),
        n_init=None if n_init is None else whole("n_init", n_init, 1, 10**5),
        workers=available_workers() if workers is None else whole("workers", workers, 1, 10**4),
        device=find_device(one_of("device", device, DEVICES)),
    )


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """Refuse a value that is not among the known, and name the nearest of these."""
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"{name} is {value!r}, expected one of {', '.join(known)}{hint}")


def whole(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Refuse what is no whole number between these."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < lowest:
        raise InputError(f"{name} is {value!r}, expected a whole number of at least {lowest}")
    if highest is not None and int(value) > highest:
        raise InputError(f"{name} is {value!r}, expected at most {highest}")
    return int(value)


def find_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU if there is one."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
