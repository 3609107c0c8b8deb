"""Text from untrusted files, made safe to print: names of networks and layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def escaped(text: str) -> str:
    r"""Write every character that does not print (ANSI escapes, bidi marks) as its escape.

    >>> print(escaped("conv\x1b[2J"))
    conv\x1b[2J
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shown(text: str, limit: int = 80) -> str:
    """Escape the text, and leave out its middle where it is longer than ``limit`` characters.

    >>> shown("features.denseblock1.denselayer1.conv1", limit=20)
    'features....r1.conv1'
    """
    if len(text) > 2 * limit:
        # an escape is never shorter than its character, so that the ends suffice
        text = text[:limit] + text[-limit:]
    text = escaped(text)
    if len(text) <= limit:
        return text
    n_end = (limit - 3) // 2
    return text[: limit - 3 - n_end] + "..." + text[len(text) - n_end :]


def described(value: object) -> str:
    """A value of the wrong kind as it is put into messages: its repr, escaped and cut.

    >>> described(["dense", 3])
    "['dense', 3]"
    """
    return shown(without_address(repr(value)))


def without_address(text: str) -> str:
    """The text without objects' addresses, which differ from run to run and say nothing.

    >>> without_address("<function head at 0x7f0c5a3e1b20>")
    '<function head>'
    """
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)


def quoted(name: object) -> str:
    """A name as it is put into messages: between quotes, escaped, and cut if it is long."""
    return f"'{shown(without_address(str(name)))}'"


def show_path(path: Path) -> str:
    """A path between quotes; cut only where it is longer than systems allow for a name."""
    return f"'{shown(str(path), 300)}'"


def listed(names: Sequence[object], separator: str = ", ", limit: int = 8) -> str:
    """Names in a row; of a long list, its beginning and its end.

    >>> listed([1, 2, 3, 4, 5, 6, 7, 8, 9], " -> ")
    '1 -> 2 -> 3 -> 4 -> 5 -> 6 -> ... -> 9'
    """
    texts = [shown(without_address(str(name))) for name in names]
    if len(texts) > limit:
        texts = [*texts[: limit - 2], "...", texts[-1]]
    return separator.join(texts)
