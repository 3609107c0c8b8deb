"""A reader for published files that checks their size and SHA-256."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, explain_damage
from clusterability.shown import show_path


def read_contents(path: Path, n_bytes: int, sha256: str) -> bytearray:
    """Return the contents of a file, decompressed if its name ends in ``.gz``.

    Size and hash are those of the decompressed contents, since compressed files may differ.

    Args:
        path: path of the file.
        n_bytes: expected size in bytes.
        sha256: expected hash.

    Raises:
        InputError: if the file is damaged, or its size or hash differs.
    """
    check_readable(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with explain_damage(path), opened(path, "rb") as file:
        # One byte more than expected shows that a file is too long, without reading all of it.
        data = bytearray(file.read(n_bytes + 1))
    if len(data) != n_bytes:
        size = "more" if len(data) > n_bytes else f"{len(data):,}"
        raise _refusal(path, f"{size} bytes, expected {n_bytes:,}")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise _refusal(path, f"contents of SHA-256 {found}, expected {sha256}")
    return data


def _refusal(path: Path, difference: str) -> InputError:
    inside = " once decompressed" if path.suffix == ".gz" else ""
    return InputError(
        f"{show_path(path)} is not the published file: it holds {difference}{inside}; delete it "
        "and download it again"
    )
