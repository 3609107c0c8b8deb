"""A check of pickles before they are read: what they take that is larger than they are."""

from __future__ import annotations

import pickletools
from collections.abc import Sequence
from typing import IO, Any

from clusterability.errors import InputError
from clusterability.shown import quoted

MOST_HASHED = 10_000_000
"""Most objects that may be hashed while a pickle is read, each as often as it is held."""

MOST_NESTED = 1_000
"""Deepest nesting of what is hashed; the interpreter's stack holds more."""

_SIZED = {"bytearray", "set", "Counter", "OrderedDict", "Size"}
"""Names of what makes a container of what it is called with, and may be called by a pickle."""

_LATIN = {"latin1", "latin-1", "iso8859-1"}
"""Names of the one encoding of which a pickle has need: others can take very long."""

_CALLING = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
_WITH_KEYS = {"SETITEM", "SETITEMS"}
_COLLECTING = {"APPEND", "APPENDS", "ADDITEMS", "BUILD", *_WITH_KEYS}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


class _Item:
    """An object that a pickle makes: what hashing it takes, and where it comes from.

    Hashing takes ``size`` objects, which are ``depth`` deep. ``value`` is a number or a string,
    ``name`` that of a class or function, ``maker`` that of what was called to make the object, and
    ``first`` are the first three parts of a tuple.
    """

    __slots__ = ("depth", "first", "maker", "name", "size", "value")

    def __init__(self, parts: Sequence[_Item] = ()) -> None:
        self.size = self.depth = 1
        self.first = tuple(parts[:3])
        self.value: Any = None
        self.name = self.maker = ""
        for part in parts:
            self.add(part)

    def add(self, part: _Item) -> None:
        # No larger number is of interest, and sums of sums would have millions of digits.
        self.size = min(self.size + part.size, MOST_HASHED + 1)
        self.depth = min(max(self.depth, part.depth + 1), MOST_NESTED + 1)


def check_pickle(file: IO[bytes] | bytes) -> None:
    """Refuse a pickle that takes far more time or memory to read than its size tells.

    Hashing a tuple or a frozenset hashes what it holds. If each of 40 levels holds the one below
    twice, 600 bytes take years. ``bytearray(2**33)`` is 8 GiB, and a set of a tensor's elements may
    be as large, since a tensor of one number can claim any shape.

    Args:
        file: a pickle, or an open file at the beginning of one; read up to its end.

    Raises:
        InputError: if more than ``MOST_HASHED`` objects would be hashed, or a container is made of
            a size or of a tensor.
    """
    stack: list[_Item | None] = []
    memo: dict[int, _Item] = {}
    n_hashed = 0
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name in _PUTS:
            number = len(memo) if name == "MEMOIZE" else int(argument or 0)
            memo[number] = _top(stack)
        elif name in _GETS:
            stack.append(memo.get(int(argument or 0)) or _Item())
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
                if name in _CALLING:
                    _check_call(taken)
                stack += [_made(name, argument, taken) for _ in operation.stack_after]


def _made(name: str, argument: Any, taken: list[_Item]) -> _Item:
    """Return what an operation leaves on the stack."""
    made = _Item(taken)
    made.value = argument
    if name == "GLOBAL":
        made.name = argument.replace(" ", ".")
    elif name == "STACK_GLOBAL":
        made.name = ".".join(str(part.value) for part in taken)
    elif name in _CALLING and taken:
        made.maker = taken[0].name
    elif "PERSID" in name:  # a storage of a tensor
        made.maker = "torch"
    return made


def _check_call(taken: list[_Item]) -> None:
    """Refuse a call whose result may be far larger than what it is called with."""
    if len(taken) < 2:
        return
    module, _, name = taken[0].name.rpartition(".")
    arguments = taken[1].first
    if name == "_rebuild_from_type_v2" and len(arguments) == 3:  # calls the first with the third
        _check_call([arguments[0], arguments[2]])
    if taken[0].name == "_codecs.encode" and len(arguments) > 1:
        encoding = arguments[1].value
        if not isinstance(encoding, str) or encoding.lower() not in _LATIN:
            raise InputError(f"it encodes a text in {quoted(str(encoding))}, expected latin1")
    if name not in _SIZED or module not in ("builtins", "__builtin__", "collections", "torch"):
        return
    for argument in arguments:  # none of these takes more than two
        is_size = isinstance(argument.value, int) and name == "bytearray"
        if is_size or argument.maker.startswith("torch"):
            kind = "a size" if is_size else "a tensor"
            raise InputError(f"it makes a {name} of {kind}, which may be far larger than the file")


def _hashed(name: str, taken: list[_Item]) -> list[_Item]:
    """Return what an operation may hash of what it takes: keys, elements, and arguments."""
    if name in _WITH_KEYS:
        return taken[1::2]
    if name == "DICT":
        return taken[::2]
    if name in ("ADDITEMS", "BUILD"):
        return taken[1:]
    return taken if name == "FROZENSET" or name in _CALLING else []


def _top(stack: list[_Item | None]) -> _Item:
    return stack[-1] if stack and stack[-1] is not None else _Item()


def _taken(operation: Any, stack: list[_Item | None]) -> list[_Item]:
    """Remove what an operation takes from the stack, and return it."""
    taken: list[_Item] = []
    before = operation.stack_before
    if pickletools.markobject in before:
        while stack and (part := stack.pop()) is not None:
            taken.append(part)
        before = before[: before.index(pickletools.markobject)]
    popped = [stack.pop() for _ in before if stack]
    taken += [part for part in popped if part is not None]
    return taken[::-1]
