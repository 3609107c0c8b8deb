"""What a measurement in the middle of a training must leave as it is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Keep random states as they are; autocast, which would round the graph, is off inside.

    A forward pass that is traced may draw random numbers of its own. The global generators of
    Python and NumPy are kept, and torch's on the CPU and on the GPUs on which the model lies.
    """
    devices = {parameter.device for parameter in model.parameters()}
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng([d for d in devices if d.type == "cuda"]))
            for kind in {"cpu"} | ({"cuda"} if torch.cuda.is_available() else set()):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
