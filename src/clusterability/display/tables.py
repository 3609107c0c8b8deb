"""Tables as text, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest


def count_text(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1.

    >>> count_text(1, "neuron"), count_text(1574, "neuron")
    ('1 neuron', '1,574 neurons')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def align(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> str:
    """Return a table as text, one line a row, with two spaces between the columns.

    Args:
        rows: the cells; a shorter row leaves its last columns empty.
        left: indices of the columns that are flush left; the others are flush right.

    >>> print(align([("name", "neurons"), ("fc1", "256"), ("output", "10")], left=[0]))
    name    neurons
    fc1         256
    output       10
    """
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    )
