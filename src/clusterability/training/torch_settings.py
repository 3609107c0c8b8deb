"""The settings of torch that training needs, set for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def training_settings() -> Iterator[None]:
    """Train in float32 and with gradients, and leave torch's settings as they were.

    Denormal numbers are taken for 0: Adam's moments of weights that stopped changing fade into
    them, and processors compute slowly with them. The threads of torch's pool do so only if the
    first large tensor, which starts them, comes after this.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    """Return whether this thread takes denormal numbers for 0; torch has no getter."""
    return float(torch.tensor(1e-40, dtype=torch.float32) * 1) == 0
