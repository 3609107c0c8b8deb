"""Compilation of inner loops by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(*, reorder: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when first called, to run outside the interpreter's lock.

    The machine code is kept on disk where that is possible: in a container the package can be
    read-only and no home folder there.

    Args:
        reorder: let sums be added in another order, so that they run in vector registers.
    """
    options: dict[str, Any] = {"nogil": True}
    if reorder:
        options["fastmath"] = {"contract", "reassoc", "nsz"}

    def compile_later(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no folder for the cache can be written
            return njit(cache=False, **options)(function)

    return compile_later
