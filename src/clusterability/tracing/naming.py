"""Names of layers and parameters: their order and their parts."""

from __future__ import annotations

import re

_DECODER = re.compile(r"dec(oder)?(?![a-z])", re.IGNORECASE)

NaturalKey = tuple[tuple[str | tuple[int, str], ...], ...]


def natural_key(name: str) -> NaturalKey:
    """Return a sorting key by which ``layers.10`` comes after ``layers.2``.

    A decoder comes after its encoder, which of all pairs of names has the alphabet's order wrong
    and often fits it by its shapes.

    >>> sorted(["layers.10", "layers.2", "fc1", "fc"], key=natural_key)
    ['fc', 'fc1', 'layers.2', 'layers.10']
    >>> sorted(["decoder.0", "encoder.0", "encoder.2"], key=natural_key)
    ['encoder.0', 'encoder.2', 'decoder.0']
    """
    return tuple(_component_key(component) for component in re.split(r"[./]", name))


def _component_key(component: str) -> tuple[str | tuple[int, str], ...]:
    found = _DECODER.match(component)
    if found:  # DEL comes after all letters
        component = ("encoder" if found[1] else "enc") + "\x7f" + component[found.end() :]
    parts = re.split(r"([0-9]+)", component)
    # Numbers compare by length, then by digits: int() refuses names with thousands of digits.
    numbers = [part.lstrip("0") for part in parts]
    return tuple(
        (len(number), number) if i % 2 else part
        for i, (part, number) in enumerate(zip(parts, numbers, strict=True))
    )


def split_name(name: str) -> tuple[str, str]:
    """Return the parent and the last component of a dotted name.

    >>> split_name("features.0.conv1"), split_name("fc")
    (('features.0', 'conv1'), ('', 'fc'))
    """
    parent, _, last = name.rpartition(".")
    return parent, last
