"""A reader for the arrays in NumPy's ``.npz`` files."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from clusterability.errors import InputError
from clusterability.files.memory import check_fits
from clusterability.shown import quoted, show_path

_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read_npz(path: Path) -> dict[str, Any]:
    """Read the arrays of a file into memory, and return them by name.

    Raises:
        InputError: if an array holds Python objects, the size in its header is wrong, or the arrays
            do not fit into memory.
    """
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        check_fits(show_path(path), sum(member.file_size for member in members.values()))
        for member in members.values():
            _check_member(archive, member)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    name = quoted(member.filename.removesuffix(".npy"))
    if not member.filename.endswith(".npy"):
        raise InputError(f"{name} is no array, expected .npy members only; save with numpy.savez")
    with archive.open(member) as file:
        version = npy_format.read_magic(file)
        if version not in _HEADER_READERS:
            raise InputError(f"array {name} has format version {version}; save with numpy.savez")
        shape, _, dtype = _HEADER_READERS[version](file)
        n_bytes = member.file_size - file.tell()
    if dtype.hasobject:
        raise InputError(
            f"array {name} holds Python objects, which would be unpickled; save numbers only"
        )
    if math.prod(shape) * dtype.itemsize != n_bytes:
        raise InputError(
            f"array {name} claims shape {shape} of {dtype}, which does not take the {n_bytes} "
            "bytes that the file has for it; save it again"
        )
