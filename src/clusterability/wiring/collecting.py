"""The search for unreachable cycles of objects, paused while many objects are made and kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Let Python collect no cycles meanwhile; where it collects none anyway, change nothing.

    It searches all objects of the process again and again as those of a large network become more,
    which takes a quarter of the time, and finds nothing: they are all in use.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
