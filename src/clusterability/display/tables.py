"""Text in columns, and numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it must be.

    >>> counted(1, "neuron"), counted(1574, "neuron")
    ('1 neuron', '1,574 neurons')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
