"""Damage to bytes, text and JSON, drawn from a generator of random numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

SIZES = (0, 1, 2, 127, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)
NUMBERS = ("0", "-1", "1e308", "1e400", "nan", "-inf", "1e-320", str(2**63), "9" * 400, "0x10", "")
MOST_BYTES = 200_000
"""Larger inputs are cut: what is slow for its size alone shows nothing."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "0", "-1", "weight", "\0", "\x1b[2J", "\ud800", "é" * 300),
    *([], {}, [[]], [None], {"": None}, [0] * 1000, {"id": 0}),
)
"""What may stand in the place of any value of a JSON file."""

NESTED = "nested far too deep"
"""Marks the place of a value that no encoder would write."""


def damaged_bytes(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Return the bytes with one thing changed."""
    return rng.choice(BYTE_MUTATIONS)(data, rng, others)[:MOST_BYTES]


def flipped(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    number = rng.choice(SIZES)
    width = rng.choice((1, 2, 4, 8))
    written = (number % 256**width).to_bytes(width, rng.choice(("little", "big")))
    return data[:at] + written + data[at + width :]


def cut_short(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def without_part(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, end = _range(data, rng)
    return data[:start] + data[end:]


def doubled(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, end = _range(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def spliced(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    start, end = _range(other, rng)
    at, until = _range(data, rng)
    return data[:at] + other[start:end] + data[rng.choice((at, until)) :]


def filled(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start, end = _range(data, rng)
    return data[:start] + rng.randbytes(1) * (end - start) + data[end:]


def other_number(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    """Replace a number that stands there as text."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?", data))
    if not found:
        return flipped(data, rng, [])
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS).encode() + data[one.end() :]


def other_word(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Replace a word by another of the file, or of another file."""
    words = re.findall(rb"[\w.]{2,}", rng.choice([data, *others]))
    found = list(re.finditer(rb"[\w.]{2,}", data))
    if not found or not words:
        return flipped(data, rng, [])
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(words) + data[one.end() :]


BYTE_MUTATIONS: tuple[Callable[[bytes, Random, list[bytes]], bytes], ...] = (
    *(flipped, flipped, overwritten, overwritten, cut_short, without_part, doubled),
    *(spliced, filled, other_number, other_number, other_word, other_word),
)


def _range(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 16, 64, 256)))


def damaged_json(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Return JSON with one value or key changed; of other data, other bytes."""
    try:
        tree = json.loads(data)
        places = list(_places(tree))
        if not places:
            return damaged_bytes(data, rng, others)
        _change(*rng.choice(places), rng)
        text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    except (ValueError, RecursionError):
        return damaged_bytes(data, rng, others)
    if NESTED in text:
        left, right = rng.choice((("[", "]"), ('{"a":', "}")))
        depth = rng.choice((30, 900, 50_000))
        text = text.replace(f'"{NESTED}"', left * depth + "1" + right * depth)
    return text.encode("utf-8", "surrogatepass")[:MOST_BYTES]


def _places(tree: Any) -> Any:
    """Return every (container, key) of a tree."""
    waiting = [tree]
    while waiting:
        held = waiting.pop()
        keys = (
            held if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else ()
        )
        for key in keys:
            yield held, key
            waiting.append(held[key])


def _change(held: Any, key: Any, rng: Random) -> None:
    how = rng.randrange(8)
    if how == 0:
        del held[key]
    elif how == 1 and isinstance(held, list):
        held.insert(key, held[key])
    elif how == 1:
        held[str(rng.choice(VALUES))[:50]] = held.pop(key)
    elif how == 2 and isinstance(held[key], int | float):
        held[key] = rng.choice((-held[key], held[key] + 1, float(held[key]), str(held[key])))
    elif how == 3:
        held[key] = rng.choice(([held[key]], {"value": held[key]}, [held[key]] * 3))
    elif how == 4:
        held[key] = held[rng.choice(list(held) if isinstance(held, dict) else range(len(held)))]
    elif how == 5 and rng.random() < 0.2:
        held[key] = NESTED
    else:
        held[key] = rng.choice(VALUES)
