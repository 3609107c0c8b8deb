"""A fast random permutation of a block's strengths.

Differs from NumPy's ``Generator.permutation``, which takes three times as long, most of it to draw
bounded integers: compiled code makes these from random numbers drawn in bulk, and arrays too large
for a processor's cache are first dealt into buckets. The same seed gives another order than there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled

CHUNK = 2**16
"""Random numbers that are drawn at a time: 256 KB."""

CACHED = 2**20
"""Values that a processor's cache holds: 4 MB."""


def permute(
    values: NDArray[np.float32],
    rng: np.random.Generator,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the values in a random order, each order equally likely (Fisher and Yates).

    Values too many for the cache are first dealt into buckets, each value into any bucket with the
    same probability; then each bucket is permuted (Rao 1961; Sandelius 1962).

    Args:
        values: (n,), not changed.
        rng: draws all random numbers.
        out: (n,) array for the result, not overlapping ``values``; by default a new one.
    """
    out = np.empty_like(values) if out is None else out
    if values.size <= CACHED:
        out[:] = values
        _permute_in_place(out, rng)
        return out
    state = rng.bit_generator.state
    sizes = np.zeros(256, np.int64)
    for _, buckets in _buckets(values.size, rng):
        _count(buckets, sizes)
    rng.bit_generator.state = state  # draws the same buckets again, rather than keep them all
    places, first = np.cumsum(sizes) - sizes, 0
    for start, buckets in _buckets(values.size, rng):
        _deal(values[start : start + buckets.size], buckets, places, out)
    for end in places:
        _permute_in_place(out[first:end], rng)
        first = end
    return out


def permute_sparse(
    values: NDArray[np.float32], rng: np.random.Generator, out: NDArray[np.float32]
) -> None:
    """Put values of which most are 0 in a random order, each order equally likely.

    Places of those that are not 0 are a random subset (Floyd's algorithm, in Bentley and Floyd
    1987), and they are permuted among these. A seed gives another order than in :func:`permute`.

    Args:
        values: (n,), n below 2^32; not changed.
        rng: draws all random numbers.
        out: (n,) array for the result, not overlapping ``values``.
    """
    kept = np.empty(values.size, np.float32)
    kept = kept[: _keep(values, kept)]
    taken, first = np.zeros(-(-out.size // 64), np.uint64), out.size - kept.size
    while first < out.size:
        pairs = rng.integers(0, 2**64, size=(out.size - first) // 2 + 1, dtype=np.uint64)
        first = _take(taken, pairs.view(np.uint32), first, out.size)
    _permute_in_place(kept, rng)
    _put(taken, kept, out)


def _buckets(n: int, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Draw a bucket for each of n values; yield pieces of them, each after its first index."""
    for start in range(0, n, CACHED):
        yield start, rng.integers(0, 256, size=min(CACHED, n - start), dtype=np.uint8)


def _permute_in_place(values: NDArray[np.float32], rng: np.random.Generator) -> None:
    end = values.size
    while end > 1:
        pairs = rng.integers(0, 2**64, size=min(CHUNK, end) // 2 + 1, dtype=np.uint64)
        end = _swap(values, pairs.view(np.uint32), end)


@compiled()
def _count(buckets, sizes):  # type: ignore[no-untyped-def]
    for bucket in buckets:
        sizes[bucket] += 1


@compiled()
def _deal(values, buckets, places, out):  # type: ignore[no-untyped-def]
    """Put each value into the next free place of its bucket."""
    for i in range(values.size):
        out[places[buckets[i]]] = values[i]
        places[buckets[i]] += 1


@compiled()
def _swap(values, draws, end):  # type: ignore[no-untyped-def]
    """Place the last of ``end`` values until the draws are used up; return the number left.

    The upper half of the product of a draw and ``end`` is an index; draws that would favor some
    indices are skipped (Lemire 2019).
    """
    low_half = np.uint64(0xFFFFFFFF)
    for draw in draws:
        product = np.uint64(draw) * np.uint64(end)
        low = product & low_half
        if low < np.uint64(end) and low < (low_half + np.uint64(1) - np.uint64(end)) % np.uint64(
            end
        ):
            continue
        other = np.int64(product >> np.uint64(32))
        end -= 1
        values[end], values[other] = values[other], values[end]
        if end == 1:
            break
    return end


@compiled()
def _keep(values, kept):  # type: ignore[no-untyped-def]
    """Gather the values that are not 0; return their number."""
    n_kept = 0
    for value in values:  # without a branch, which would often be guessed wrongly
        kept[n_kept] = value
        n_kept += value != 0
    return n_kept


@compiled()
def _take(taken, draws, first, n_places):  # type: ignore[no-untyped-def]
    """Add to the subset a place up to ``first``, or ``first`` itself, and so on to the last one.

    Draws are used as in :func:`_swap`. Returns the next ``first``.
    """
    low_half = np.uint64(0xFFFFFFFF)
    for draw in draws:
        if first == n_places:
            break
        n = np.uint64(first + 1)
        product = np.uint64(draw) * n
        low = product & low_half
        if low < n and low < (low_half + np.uint64(1) - n) % n:
            continue
        place = product >> np.uint64(32)
        word, bit = np.int64(place >> np.uint64(6)), np.uint64(1) << (place & np.uint64(63))
        if taken[word] & bit:
            place = np.uint64(first)
            word, bit = np.int64(place >> np.uint64(6)), np.uint64(1) << (place & np.uint64(63))
        taken[word] |= bit
        first += 1
    return first


@compiled()
def _put(taken, values, out):  # type: ignore[no-untyped-def]
    """Put the values into the places that are taken, and zeros into the others."""
    next_value = 0
    for word in range(taken.size):
        bits = taken[word]
        for place in range(64 * word, min(64 * word + 64, out.size)):
            out[place] = np.float32(0.0)
        while bits != 0:
            lowest = bits & (~bits + np.uint64(1))
            out[64 * word + _count_bits(lowest - np.uint64(1))] = values[next_value]
            next_value += 1
            bits ^= lowest


@compiled()
def _count_bits(bits):  # type: ignore[no-untyped-def]
    """Count the bits that are 1, by sums of neighbors (Wilkes, Wheeler and Gill 1957)."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    pairs = np.uint64(0x3333333333333333)
    bits = (bits & pairs) + ((bits >> np.uint64(2)) & pairs)
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))
