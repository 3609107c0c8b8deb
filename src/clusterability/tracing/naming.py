"""Names of layers and parameters: their order and their parts."""

from __future__ import annotations

import re

NaturalKey = tuple[tuple[int | str | tuple[int, str], ...], ...]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

_PLACES = {
    -2: {"embed", "embedding", "embeddings", "first", "in", "input", "inputs", "stem"},
    -1: {"enc", "encoder", "encoders"},
    1: {"dec", "decoder", "decoders"},
    2: {"classifier", "final", "head", "last", "logits", "out", "output", "outputs"},
}
"""Words in names of layers that tell where these lie; all other names lie at 0."""


def natural_key(name: str) -> NaturalKey:
    """Return a sorting key by which ``layers.10`` comes after ``layers.2``.

    Words that tell where a layer lies come before the alphabet, which often has them wrong: a stem
    precedes a body and a head, an encoder its decoder.

    >>> sorted(["layers.10", "layers.2", "fc1", "fc"], key=natural_key)
    ['fc', 'fc1', 'layers.2', 'layers.10']
    >>> sorted(["decoder.0", "encoder.0", "encoder.2", "bottleneck"], key=natural_key)
    ['encoder.0', 'encoder.2', 'bottleneck', 'decoder.0']
    """
    return tuple(_component_key(component) for component in re.split(r"[./]", name))


def _component_key(component: str) -> tuple[int | str | tuple[int, str], ...]:
    parts = re.split(r"([0-9]+)", component)
    # Numbers compare by length, then by digits: int() refuses names with thousands of digits.
    numbers = [part.lstrip("0") for part in parts]
    return _place(component), *(
        (len(number), number) if i % 2 else part
        for i, (part, number) in enumerate(zip(parts, numbers, strict=True))
    )


def _place(component: str) -> int:
    """Return the place that a name tells; 0 if it tells none, or several."""
    words = {word.lower() for word in _WORD.findall(component)}
    told = [place for place, known in _PLACES.items() if words & known]
    return told[0] if len(told) == 1 else 0


def split_name(name: str) -> tuple[str, str]:
    """Return the parent and the last component of a dotted name.

    >>> split_name("features.0.conv1"), split_name("fc")
    (('features.0', 'conv1'), ('', 'fc'))
    """
    parent, _, last = name.rpartition(".")
    return parent, last
