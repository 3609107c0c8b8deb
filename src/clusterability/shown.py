"""Functions that make text from untrusted files safe to print, as the names of layers."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence


def escaped(text: str) -> str:
    r"""Replace every character that does not print (ANSI escapes, bidi marks) by its escape.

    >>> print(escaped("conv\x1b[2J"))
    conv\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shown(text: str, limit: int = 80) -> str:
    """Escape the text, and cut its middle out if it is longer than ``limit`` characters.

    >>> shown("features.denseblock1.denselayer1.conv1", limit=20)
    'features....r1.conv1'
    """
    if len(text) > 2 * limit:
        # An escape is never shorter than its character: the two ends hold enough text.
        text = text[:limit] + text[-limit:]
    text = escaped(text)
    if len(text) <= limit:
        return text
    n_end = (limit - 3) // 2
    return text[: limit - 3 - n_end] + "..." + text[len(text) - n_end :]


def described(value: object) -> str:
    """Return the repr of a value for an error message, escaped and cut.

    >>> described(["dense", 3])
    "['dense', 3]"
    """
    try:
        return shown(without_address(repr(value)))
    except ValueError:  # an integer of more than 4,300 digits
        return f"{type(value).__name__} too long to show"


def without_address(text: str) -> str:
    """Remove the memory addresses of objects from a text: they differ from run to run.

    >>> without_address("<function head at 0x7f0c5a3e1b20>")
    '<function head>'
    """
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)


def quoted(name: object) -> str:
    """Return a name for an error message: in quotes, escaped, and cut if it is long."""
    return f"'{shown(without_address(str(name)))}'"


def show_path(path: str | os.PathLike[str]) -> str:
    """Return a path in quotes, escaped; only a path of more than 300 characters is cut."""
    return f"'{shown(str(path), 300)}'"


def listed(names: Sequence[object], separator: str = ", ", limit: int = 8) -> str:
    """Join names to one text; of more than ``limit`` names, only the first ones and the last.

    >>> listed([1, 2, 3, 4, 5, 6, 7, 8, 9], " -> ")
    '1 -> 2 -> 3 -> 4 -> 5 -> 6 -> ... -> 9'
    """
    texts = [shown(without_address(str(name))) for name in names]
    if len(texts) > limit:
        texts = [*texts[: limit - 2], "...", texts[-1]]
    return separator.join(texts)
