"""A lack of memory, told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from clusterability.errors import RunError
from clusterability.shown import shown


@contextmanager
def explain_lack_of_memory() -> Iterator[None]:
    """Turn the out-of-memory errors of Python and torch into a RunError.

    Raises:
        RunError: in place of such an error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        reason = shown((str(error) or "out of memory").splitlines()[0], 160)
        raise RunError(
            f"there is not enough memory ({reason}); train fewer runs in a stack, smaller batches, "
            "or on another device"
        ) from None


def _is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    # On a CPU torch raises a plain RuntimeError that only its text tells from others.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "alloc" in str(error)
