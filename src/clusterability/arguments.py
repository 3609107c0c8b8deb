"""Checks of single arguments, whose messages name the value, what was expected, and the nearest."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from contextlib import suppress
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.shown import described

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """Return the value if it is among the known names.

    Raises:
        InputError: that lists the known names and says which is nearest.

    >>> one_of("fruit", "pear", ("apple", "pear"))
    'pear'
    """
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"{name} is {described(value)}, expected one of {', '.join(known)}{hint}")


def some_of(name: str, value: Any, known: Collection[str]) -> tuple[str, ...]:
    """Return the names in a collection, each once and in order, if all are known.

    Raises:
        InputError: if the value is no collection, is one string, or holds another name.

    >>> some_of("fruits", ["pear", "apple", "pear"], ("apple", "pear"))
    ('apple', 'pear')
    """
    kind = "the string " if isinstance(value, str) else ""
    # An array without axes has the methods of a collection, but cannot be gone through.
    if kind or not isinstance(value, Collection) or getattr(value, "ndim", 1) == 0:
        raise InputError(
            f'{name} is {kind}{described(value)}, expected a tuple such as ("{next(iter(known))}",)'
        )
    return tuple(sorted({one_of(name, part, known) for part in value}))


def whole(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Return the whole number, NumPy's too, as one of Python.

    Raises:
        InputError: if it is no whole number, or lies outside of the two bounds.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < lowest:
        raise InputError(
            f"{name} is {described(value)}, expected a whole number of at least {lowest}"
        )
    if highest is not None and int(value) > highest:
        raise InputError(f"{name} is {value!r}, expected at most {highest}")
    return int(value)


def number(
    name: str,
    value: Any,
    lowest: float = 0.0,
    *,
    above: bool = False,
    below: float = math.inf,
    noun: str = "a number",
) -> float:
    """Return the finite number, NumPy's too, as a float.

    Args:
        name, value: of the argument.
        lowest: the smallest that is taken.
        above: refuse ``lowest`` itself.
        below: numbers from here on are refused.
        noun: what the number is, for the message.

    Raises:
        InputError: if it is no such number.

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


def yes_or_no(name: str, value: Any) -> bool:
    """Return the truth value.

    Raises:
        InputError: if it is another kind of value.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} is {described(value)}, expected True or False")
    return value


def find_device(name: str) -> torch.device:
    """Return the device of one of the :data:`DEVICES`; ``auto`` is a GPU if there is one.

    Raises:
        InputError: if there is no such device, or no GPU.
    """
    import torch

    one_of("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
