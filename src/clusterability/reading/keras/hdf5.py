"""Checks on HDF5 files as Keras writes them, before anything in them is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from clusterability.errors import InputError
from clusterability.files.memory import check_fits
from clusterability.shown import quoted, show_path

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

# Deflate, the strongest built-in filter of HDF5, packs at most 1,032 bytes into one.
_MAX_EXPANSION = 1032
_MAX_CONFIG = 1 << 26
_MAX_DEPTH = 64


def check_hdf5(path: Path, source: Path | IO[bytes]) -> int:
    """Check the links and datasets of an HDF5 file, and return the count of numbers in it.

    Args:
        path: the file's name, for messages.
        source: the HDF5 file itself, or its bytes.

    Raises:
        InputError: if a link or a dataset leads out of the file or back into it, a dataset holds no
            numbers or claims more bytes than the file has for it, or all do not fit into memory.
    """
    import h5py

    n_numbers = n_bytes = 0
    with h5py.File(source, "r") as file:
        for name, dataset in _datasets(h5py, path, file):
            n_bytes += _checked_bytes(path, name, dataset)
            n_numbers += math.prod(dataset.shape)
    check_fits(show_path(path), n_bytes)
    return n_numbers


def model_config(path: Path) -> bytes | None:
    """Return the text of the attribute ``model_config``; None if the file has weights alone.

    Raises:
        InputError: if the attribute is no text, or has more than 64 MiB.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            return None
        attribute = file.attrs.get_id("model_config")
        if attribute.shape != () or attribute.get_storage_size() > _MAX_CONFIG:
            raise InputError(
                f"the attribute model_config of {show_path(path)} has shape {attribute.shape} and "
                f"{attribute.get_storage_size()} bytes, expected one text; save the model again"
            )
        text = file.attrs["model_config"]
    text = text.encode() if isinstance(text, str) else text
    if not isinstance(text, bytes) or len(text) > _MAX_CONFIG:
        raise InputError(
            f"the attribute model_config of {show_path(path)} is no text; save the model again"
        )
    return text


def _datasets(h5py: Any, path: Path, file: Any) -> Iterator[tuple[str, Any]]:
    """Yield every dataset with its name; groups are entered once, and only by hard links."""
    waiting = [("", file, 0)]
    seen: set[int] = set()
    while waiting:
        prefix, group, depth = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen or depth > _MAX_DEPTH:
            raise InputError(
                f"the group {quoted(prefix)} of {show_path(path)} is reached twice or lies too "
                "deep, which Keras does not write; save the model again"
            )
        seen.add(address)
        for key in group:
            name = f"{prefix}/{key}"
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise InputError(
                    f"{quoted(name)} in {show_path(path)} is a link to another place or file, "
                    "which is not followed; save the model again"
                )
            member = group[key]
            if isinstance(member, h5py.Group):
                waiting.append((name, member, depth + 1))
            elif isinstance(member, h5py.Dataset):
                yield name, member


def _checked_bytes(path: Path, name: str, dataset: Any) -> int:
    """Return the bytes that the dataset takes in memory, and refuse datasets not safe to read."""
    if dataset.is_virtual or dataset.external:
        raise InputError(
            f"{quoted(name)} in {show_path(path)} has its numbers in other files, which are not "
            "opened; save the model again"
        )
    if dataset.dtype.kind not in "biufV" or dataset.shape is None or dataset.dtype.hasobject:
        raise InputError(
            f"{quoted(name)} in {show_path(path)} holds no numbers (its type is {dataset.dtype}); "
            "save the model again"
        )
    item = int(dataset.dtype.itemsize)
    claimed: int = math.prod(dataset.shape) * item
    stored = int(dataset.id.get_storage_size())
    packed = dataset.compression is not None
    if claimed > stored * (_MAX_EXPANSION if packed else 1):
        raise InputError(
            f"{quoted(name)} in {show_path(path)} claims {claimed} bytes, but the file has "
            f"{stored} for it; download or save it again"
        )
    chunk = math.prod(dataset.chunks or ()) * item
    check_fits(f"a part of {quoted(name)} in {show_path(path)}", chunk)
    return claimed
