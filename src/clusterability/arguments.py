"""Checks of single arguments. A message gives the value, the expected values, and the nearest."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from contextlib import suppress
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.shown import described, listed

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """Return the value if it is among the known names.

    Raises:
        InputError: if it is not; the message lists the known names and proposes the nearest.

    >>> one_of("fruit", "pear", ("apple", "pear"))
    'pear'
    """
    if isinstance(value, str) and value in known:
        return value
    raise InputError(
        f"{name} is {described(value)}, expected one of {', '.join(known)}"
        f"{did_you_mean(str(value), known)}"
    )


def did_you_mean(text: str, known: Collection[str]) -> str:
    """Return the end of a message that proposes the nearest known name; empty if none is near.

    >>> did_you_mean("aple", ("apple", "pear"))
    "; did you mean 'apple'?"
    """
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def some_of(name: str, value: Any, known: Collection[str]) -> tuple[str, ...]:
    """Return the names in a collection, sorted and each once, if all are known.

    Raises:
        InputError: if the value is no collection, is a single string, or has an unknown name.

    >>> some_of("fruits", ["pear", "apple", "pear"], ("apple", "pear"))
    ('apple', 'pear')
    """
    kind = "the string " if isinstance(value, str) else ""
    # An array without axes has the methods of a collection, but cannot be iterated over.
    if kind or not isinstance(value, Collection) or getattr(value, "ndim", 1) == 0:
        raise InputError(
            f'{name} is {kind}{described(value)}, expected a tuple such as ("{next(iter(known))}",)'
        )
    return tuple(sorted({one_of(name, part, known) for part in value}))


def whole(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Return a whole number, of Python or NumPy, as an ``int``.

    Raises:
        InputError: if the value is no whole number, or lies outside of the two bounds.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < lowest:
        raise InputError(
            f"{name} is {described(value)}, expected a whole number of at least {lowest}"
        )
    if highest is not None and int(value) > highest:
        raise InputError(f"{name} is {described(value)}, expected at most {highest}")
    return int(value)


def eigenvalue_indices(name: str, value: Any) -> tuple[int, ...]:
    """Return indices of eigenvalues, counted from 1, ascending.

    Raises:
        InputError: if the value is no collection of different whole numbers from 2 on.

    >>> eigenvalue_indices("eigenvalues", range(2, 5))
    (2, 3, 4)
    """
    if hasattr(value, "tolist"):  # arrays and tensors
        value = value.tolist()
    if isinstance(value, str) or not isinstance(value, Collection) or not value:
        raise InputError(f"{name} is {described(value)}, expected indices such as (2, 3, 4)")
    indices = sorted(whole(name, index, 1) for index in value)
    if indices[0] == 1:
        raise InputError(
            f"{name} holds 1, but the first eigenvalue is always zero; leave it out, as in "
            "(2, 3, 4)"
        )
    if len(set(indices)) < len(indices):
        raise InputError(f"{name} holds {listed(indices)}, expected each index once")
    return tuple(indices)


def number(
    name: str,
    value: Any,
    lowest: float = 0.0,
    *,
    above: bool = False,
    below: float = math.inf,
    noun: str = "a number",
) -> float:
    """Return a finite number, of Python or NumPy, as a ``float``.

    Args:
        name, value: name and value of the argument.
        lowest: the smallest allowed number.
        above: whether ``lowest`` itself is refused too.
        below: this number and all larger ones are refused.
        noun: description of the number for the message.

    Raises:
        InputError: if the value is no finite number, or lies outside of the bounds.

    >>> number("share", 0.25, below=1)
    0.25
    """
    found = math.nan
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):
            found = float(value)
    if not math.isfinite(found) or found < lowest or (above and found == lowest) or found >= below:
        least = f"above {lowest:g}" if above else f"of at least {lowest:g}"
        most = "" if below == math.inf else f" and below {below:g}"
        raise InputError(f"{name} is {described(value)}, expected {noun} {least}{most}")
    return found


def text(name: str, value: Any) -> str:
    """Return the value if it is a string.

    Raises:
        InputError: if it is none.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} is {described(value)}, expected a string")
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """Return the value if it is True or False.

    Raises:
        InputError: if it is anything else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} is {described(value)}, expected True or False")
    return value


def find_device(name: str) -> torch.device:
    """Return the torch device with a name from :data:`DEVICES`; ``auto`` is the GPU, if any.

    Raises:
        InputError: if the name is unknown, or is ``cuda`` and torch finds no GPU.
    """
    import torch

    one_of("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def device_name(device: torch.device) -> str:
    """Return the name of a GPU; of a CPU ``cpu``."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
