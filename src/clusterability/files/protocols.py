"""Pickles of protocols 3 to 5 written anew as protocol 2, the one that torch reads safely.

Nothing is run: each operation is replaced by operations of protocol 2 that do the same.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from dataclasses import dataclass
from typing import IO

MOST_CHARACTERS = 1_000
"""Longest name of what a pickle calls."""

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_GETS = {"BINGET", "LONG_BINGET"}


def read_protocol(data: bytes) -> int:
    """Return the protocol that a pickle names in its first bytes.

    >>> read_protocol(pickle.dumps([1], protocol=4))
    4
    """
    return data[1] if len(data) > 1 and data.startswith(pickle.PROTO) else 0


def read_pickle(file: IO[bytes]) -> bytes:
    """Return the bytes of the pickle at which an open file stands, up to its end.

    Raises:
        ValueError: if there is none.
    """
    start = file.tell()
    for _ in pickletools.genops(file):
        pass
    n_bytes = file.tell() - start
    file.seek(start)
    return file.read(n_bytes)


def as_protocol_2(data: bytes) -> bytes:
    """Return a pickle of the same objects, bytes aside, as protocol 2 has it.

    Bytes become calls of ``_codecs.encode``, as Python itself writes them. Operations that protocol
    2 has no counterpart of, such as those of sets, stay.

    Raises:
        ValueError: if it is damaged.

    >>> rewritten = as_protocol_2(pickle.dumps({"a": [1, b"b"]}, protocol=5))
    >>> rewritten[1], pickle.loads(rewritten)
    (2, {'a': [1, b'b']})
    """
    operations = list(pickletools.genops(data))
    ends = [place or 0 for _, _, place in operations[1:]] + [len(data)]
    writer = _Writer()
    for (operation, argument, place), end in zip(operations, ends, strict=True):
        writer.write(operation.name, argument, data[place or 0 : end])
    return b"".join(part.code + part.put for part in writer.parts)


@dataclass
class _Part:
    """Code that pushes one object, or any other, and the code that remembers the object."""

    code: bytes
    text: str | None = None
    number: int | None = None
    put: bytes = b""


class _Writer:
    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self._texts: dict[int, str] = {}
        self._dropped: set[int] = set()
        self._n_remembered = 0

    def write(self, name: str, argument: object, code: bytes) -> None:
        """Write one operation."""
        if name == "PROTO":
            self.parts.append(_Part(pickle.PROTO + b"\x02"))
        elif name == "MEMOIZE":
            self._remember()
        elif name in _STRINGS:
            self.parts.append(_Part(_string(str(argument)), str(argument)))
        elif name in _BYTES:
            assert isinstance(argument, bytes | bytearray)
            self.parts.append(_Part(_encoded(bytes(argument))))
        elif name in _GETS:
            self._get(int(str(argument)), code)
        elif name == "STACK_GLOBAL":
            self._name()
        elif name != "FRAME":
            self.parts.append(_Part(code))

    def _remember(self) -> None:
        part, number = self.parts[-1], self._n_remembered
        self._n_remembered += 1
        part.put, part.number = pickle.LONG_BINPUT + struct.pack("<I", number), number
        if part.text is not None:
            self._texts[number] = part.text

    def _get(self, number: int, code: bytes) -> None:
        text = self._texts.get(number)
        if number in self._dropped and text is not None:
            code = _string(text)
        self.parts.append(_Part(code, text))

    def _name(self) -> None:
        """Replace the two strings that come last by what they name."""
        names = self.parts[-2:]
        texts = [part.text for part in names]
        if len(texts) < 2 or any(t is None or len(t) > MOST_CHARACTERS or "\n" in t for t in texts):
            raise ValueError("what it calls has no name")
        del self.parts[-2:]
        self._dropped |= {part.number for part in names if part.number is not None}
        self.parts.append(_Part(pickle.GLOBAL + f"{texts[0]}\n{texts[1]}\n".encode()))


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _encoded(data: bytes) -> bytes:
    arguments = _string(data.decode("latin1")) + _string("latin1")
    return b"c_codecs\nencode\n" + arguments + pickle.TUPLE2 + pickle.REDUCE
