"""A check of pickles before they are read: what their keys take to hash."""

from __future__ import annotations

import pickletools
from collections.abc import Iterable
from typing import IO, Any

from clusterability.errors import InputError

MOST_HASHED = 10_000_000
"""Most objects that may be hashed while a pickle is read, each as often as it is held."""

MOST_NESTED = 1_000
"""Deepest nesting of what is hashed; the interpreter's stack holds more."""

_CALLING = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
_WITH_KEYS = {"SETITEM", "SETITEMS"}
_COLLECTING = {"APPEND", "APPENDS", "ADDITEMS", "BUILD", *_WITH_KEYS}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


class _Cost:
    """What hashing an object takes: the objects in it, and how deep they are nested."""

    __slots__ = ("depth", "size")

    def __init__(self, parts: Iterable[_Cost] = ()) -> None:
        self.size = self.depth = 1
        for part in parts:
            self.add(part)

    def add(self, part: _Cost) -> None:
        # No larger number is of interest, and sums of sums would have millions of digits.
        self.size = min(self.size + part.size, MOST_HASHED + 1)
        self.depth = min(max(self.depth, part.depth + 1), MOST_NESTED + 1)


def check_hashing(file: IO[bytes] | bytes) -> None:
    """Refuse a pickle whose keys take very long to hash, or very deep a stack.

    Hashing a tuple or a frozenset hashes what it holds. If each of 40 levels holds the one below
    twice, 600 bytes take years.

    Args:
        file: a pickle, or an open file at the beginning of one; read up to its end.

    Raises:
        InputError: if more than ``MOST_HASHED`` objects would be hashed.
    """
    stack: list[_Cost | None] = []
    memo: dict[int, _Cost] = {}
    n_hashed = 0
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name in _PUTS:
            number = len(memo) if name == "MEMOIZE" else int(argument or 0)
            memo[number] = _top(stack)
        elif name in _GETS:
            stack.append(memo.get(int(argument or 0)) or _Cost())
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(_top(stack))
        else:
            taken = _taken(operation, stack)
            hashed = _hashed(name, taken)
            n_hashed += sum(part.size for part in hashed)
            if n_hashed > MOST_HASHED or any(part.depth > MOST_NESTED for part in hashed):
                raise InputError("its keys are nested so that they would take very long to hash")
            if name in _COLLECTING and taken:
                for part in hashed if name in _WITH_KEYS else taken[1:]:
                    taken[0].add(part)
                stack.append(taken[0])
            else:
                stack += [_Cost(taken) for _ in operation.stack_after]


def _hashed(name: str, taken: list[_Cost]) -> list[_Cost]:
    """Return what an operation may hash of what it takes: keys, elements, and arguments."""
    if name in _WITH_KEYS:
        return taken[1::2]
    if name == "DICT":
        return taken[::2]
    if name in ("ADDITEMS", "BUILD"):
        return taken[1:]
    return taken if name == "FROZENSET" or name in _CALLING else []


def _top(stack: list[_Cost | None]) -> _Cost:
    return stack[-1] if stack and stack[-1] is not None else _Cost()


def _taken(operation: Any, stack: list[_Cost | None]) -> list[_Cost]:
    """Remove what an operation takes from the stack, and return it."""
    taken: list[_Cost] = []
    before = operation.stack_before
    if pickletools.markobject in before:
        while stack and (part := stack.pop()) is not None:
            taken.append(part)
        before = before[: before.index(pickletools.markobject)]
    popped = [stack.pop() for _ in before if stack]
    taken += [part for part in popped if part is not None]
    return taken[::-1]
