"""A fast random permutation of a block's strengths.

Differs from NumPy's ``Generator.permutation``, which takes three times as long, most of it to draw
bounded integers: compiled code makes these from random numbers drawn in bulk, and arrays too large
for a processor's cache are first dealt into buckets. The same seed gives another order than there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clusterability.compiling import compiled, unsigned
from clusterability.graph.sparse import which_not_zero
from clusterability.vectors import WORD, count_bits, lowest_bit

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


def nonzero_values(values: NDArray[np.float32], most: int) -> NDArray[np.float32] | None:
    """Return the values, (n,), that are not 0, in their order; None if they are more than ``most``.

    >>> nonzero_values(np.array([0, 3, 0, 2], np.float32), 2)
    array([3., 2.], dtype=float32)
    """
    kept = np.empty(most, np.float32)
    n_kept = _keep(np.ascontiguousarray(values), kept)
    return kept[:n_kept] if n_kept <= most else None


def scatter(
    values: NDArray[np.float32], rng: np.random.Generator, out: NDArray[np.float32]
) -> None:
    """Put values at random places and zeros at the others, each order equally likely.

    The places are a random subset (Floyd's algorithm, in Bentley and Floyd 1987), and the values
    are permuted among these. This has the distribution of :func:`permute` with as many zeros, but a
    seed gives another order.

    Args:
        values: (m,), are permuted.
        rng: draws all random numbers.
        out: (n,) array for the result, n from m to 2^32 - 1.
    """
    taken, first = np.zeros(-(-out.size // WORD), np.uint64), out.size - values.size
    while first < out.size:
        pairs = _draw(rng, (out.size - first) // 2 + 1)
        first = _take(taken, pairs.view(np.uint32), first, out.size)
    _permute_in_place(values, rng)
    out.fill(0)
    _put(taken, values, out)


def _draw(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """Draw n numbers of 64 random bits each, in less time where NumPy's default generator does."""
    if isinstance(rng.bit_generator, np.random.PCG64):
        raw: NDArray[np.uint64] = rng.bit_generator.random_raw(n)
        return raw
    # Raw numbers of others, such as MT19937, may have fewer bits.
    return rng.integers(0, 2**64, size=n, dtype=np.uint64)


def _buckets(n: int, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Draw a bucket for each of n values; yield pieces of them, each after its first index."""
    for start in range(0, n, CACHED):
        size = min(CACHED, n - start)
        yield start, _draw(rng, -(-size // 8)).view(np.uint8)[:size]


def _permute_in_place(values: NDArray[np.float32], rng: np.random.Generator) -> None:
    end = values.size
    while end > 1:
        pairs = _draw(rng, min(CHUNK, end) // 2 + 1)
        end = _swap(values, pairs.view(np.uint32), end)


@compiled()
def _count(buckets, sizes):  # type: ignore[no-untyped-def]
    for bucket in buckets:
        sizes[bucket] += 1


@compiled()
def _deal(values, buckets, places, out):  # type: ignore[no-untyped-def]
    """Put each value into the next free place of its bucket."""
    for i in range(values.size):
        place = unsigned(places[buckets[i]])
        out[place] = values[i]
        places[buckets[i]] += 1


@compiled()
def _swap(values, draws, end):  # type: ignore[no-untyped-def]
    """Place the last of ``end`` values until the draws are used up; return the number left.

    The upper half of the product of a draw and ``end`` is an index; draws that would favor some
    indices are skipped (Lemire 2019).
    """
    low_half, one, n_left = unsigned(0xFFFFFFFF), unsigned(1), unsigned(end)
    for draw in draws:
        product = unsigned(draw) * n_left
        low = product & low_half
        if low < n_left and low < (low_half + one - n_left) % n_left:
            continue
        other = product >> unsigned(32)
        n_left -= one
        values[n_left], values[other] = values[other], values[n_left]
        if n_left == one:
            break
    return np.int64(n_left)


@compiled()
def _keep(values, kept):  # type: ignore[no-untyped-def]
    """Gather the values that are not 0; return their number, or a larger one than fits."""
    n_kept = unsigned(0)
    for first in range(0, values.size, WORD):
        bits = which_not_zero(values, first, values.size)
        if n_kept + count_bits(bits) > unsigned(kept.size):
            return kept.size + 1
        for _ in range(count_bits(bits)):
            kept[n_kept] = values[unsigned(first) + lowest_bit(bits)]
            n_kept += unsigned(1)
            bits &= bits - unsigned(1)
    return np.int64(n_kept)


@compiled()
def _take(taken, draws, first, n_places):  # type: ignore[no-untyped-def]
    """Add to the subset a place up to ``first``, or ``first`` itself, and so on to the last one.

    Draws are used as in :func:`_swap`. Returns the next ``first``.
    """
    low_half, one, n = unsigned(0xFFFFFFFF), unsigned(1), unsigned(first + 1)
    for draw in draws:
        if n > unsigned(n_places):
            break
        product = unsigned(draw) * n
        low = product & low_half
        if low < n and low < (low_half + one - n) % n:
            continue
        place = product >> unsigned(32)
        if taken[place // unsigned(WORD)] >> (place % unsigned(WORD)) & one:
            place = n - one
        taken[place // unsigned(WORD)] |= one << (place % unsigned(WORD))
        n += one
    return np.int64(n - one)


@compiled()
def _put(taken, values, out):  # type: ignore[no-untyped-def]
    """Put the values into the places that are taken."""
    next_value = 0
    for word in range(taken.size):
        bits = taken[word]
        for _ in range(count_bits(bits)):
            out[unsigned(WORD * word) + lowest_bit(bits)] = values[next_value]
            next_value += 1
            bits &= bits - unsigned(1)
