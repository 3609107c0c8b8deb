"""Reader of weights from a file, which is data and never run; the suffix gives the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, check_weights_follow, explain_damage
from clusterability.files.npz import read_npz
from clusterability.reading.weights.safetensors_files import read_index, read_safetensors
from clusterability.reading.weights.torch_files import read_torch
from clusterability.shown import quoted, show_path

Reader = Callable[[Path], Mapping[str, Any]]

READERS: dict[str, Reader] = {
    ".safetensors": read_safetensors,
    ".safetensors.index.json": read_index,
    ".pt": read_torch,
    ".pth": read_torch,
    ".ckpt": read_torch,
    ".bin": read_torch,
    ".npz": read_npz,
}


def read_weights(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Return the state dict in a file, nested as it is there.

    Nothing in the file is executed, and sizes are checked before memory is taken. Where the format
    allows, tensors are mapped from the file instead of read.

    Raises:
        InputError: if the file is missing, unreadable, of another format, corrupt, too large for
            memory, or would run code.
    """
    path = Path(path)
    head = check_readable(path)
    reader = _reader(path)
    check_weights_follow(path, head)
    with explain_damage(path):
        return reader(path)


def _reader(path: Path) -> Reader:
    name = path.name.lower()
    for suffix, reader in READERS.items():
        if name.endswith(suffix):
            return reader
    suffix = path.suffix.lower()
    raise InputError(
        f"{show_path(path)} has the suffix {quoted(suffix)}, expected .onnx, .keras, "
        f".h5 or, for weights alone, one of {', '.join(READERS)}, and for a graph .graphml, .json "
        "(node-link) or .npz (of scipy.sparse.save_npz); save it as one of them"
    )
