"""Numba compiles the inner loops."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

unsigned = np.uint64
"""The type of indices in loops where time counts. Numba tests an index that may be negative, in
case it counts from an array's end; of indices that arrays hold it cannot know better, and the tests
take half of such a loop's time."""


def can_compile(*tensors: Tensor | None) -> bool:
    """Whether compiled loops can read these tensors and change them in place; None always can."""
    return all(
        tensor is None
        or (
            tensor.device.type == "cpu"
            and tensor.dtype in (torch.float32, torch.float64)
            and tensor.is_contiguous()
        )
        for tensor in tensors
    )


def compiled(*, reorder: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: numba compiles the function at its first call, to run without the lock.

    The compiled function does not hold the interpreter's lock, so that threads run it in parallel.
    Its machine code is kept on disk if a folder can be written; in a container, the package may be
    read-only and the home folder missing.

    Numba counts the references to arrays. A function that is called in an inner loop, or that numba
    puts into it (``inline="always"``), counts those of each array that it is given, which takes
    longer than a dozen additions: what an inner loop does stands in the loop itself.

    Args:
        reorder: let numba change the order of additions, so that sums use vector registers.
    """
    options: dict[str, Any] = {"nogil": True}
    if reorder:
        options["fastmath"] = {"contract", "reassoc", "nsz"}

    def compile_later(function: Callable[..., Any]) -> Any:
        # Who asks whether loops can be compiled need not wait for numba.
        from numba import njit

        try:
            dispatcher = njit(cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder that it can write its cache to
            return njit(cache=False, **options)(function)
        _stamp(dispatcher)
        return dispatcher

    return compile_later


SHARED = ("compiling.py", "vectors.py", "graph/packed.py", "graph/sparse.py")
"""Files of the package with functions that compiled functions of other files call."""


@cache
def _content_of_shared() -> str:
    """Return a hash of these files."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in SHARED)).hexdigest()


def _stamp(dispatcher: Any) -> None:
    """Let numba keep machine code only as long as the shared files are the same, too.

    Numba looks at the file of the function alone, and takes machine code that was made from an
    earlier version of what it calls. Where numba has changed inside, its own rule remains.
    """
    kept: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(kept, "_source_stamp"):
        kept._source_stamp = (kept._source_stamp, _content_of_shared())
