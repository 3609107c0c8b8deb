"""Names of layers and parameters: their order, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clusterability.shown import described as described
from clusterability.shown import shown
from clusterability.shown import without_address as without_address

NaturalKey = tuple[tuple[str | tuple[int, str], ...], ...]


def natural_key(name: str) -> NaturalKey:
    """Sorting key by which ``layers.10`` comes after ``layers.2``.

    >>> sorted(["layers.10", "layers.2", "fc1", "fc"], key=natural_key)
    ['fc', 'fc1', 'layers.2', 'layers.10']
    """
    return tuple(_component_key(component) for component in re.split(r"[./]", name))


def _component_key(component: str) -> tuple[str | tuple[int, str], ...]:
    parts = re.split(r"([0-9]+)", component)
    # Numbers compare by length, then by digits: int() refuses names with thousands of digits.
    numbers = [part.lstrip("0") for part in parts]
    return tuple(
        (len(number), number) if i % 2 else part
        for i, (part, number) in enumerate(zip(parts, numbers, strict=True))
    )


def split_name(name: str) -> tuple[str, str]:
    """Parent and last component of a dotted name.

    >>> split_name("features.0.conv1"), split_name("fc")
    (('features.0', 'conv1'), ('', 'fc'))
    """
    parent, _, last = name.rpartition(".")
    return parent, last


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
