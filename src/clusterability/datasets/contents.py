"""What a file must hold: read no further than that, and compared with a checksum."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, explain_damage
from clusterability.shown import show_path


def read_contents(path: Path, n_bytes: int, sha256: str) -> bytearray:
    """The file, decompressed if its name ends in ``.gz``.

    Compression may differ from file to file, so that only what is inside counts.

    Args:
        path: the file.
        n_bytes: its size, decompressed.
        sha256: of its contents, decompressed.

    Raises:
        InputError: if the file is damaged or holds anything else.
    """
    check_readable(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with explain_damage(path), opened(path, "rb") as file:
        # One byte more shows that a file is too long, however much it would inflate to.
        data = bytearray(file.read(n_bytes + 1))
    if len(data) != n_bytes:
        size = "more" if len(data) > n_bytes else f"{len(data):,}"
        raise _refused(path, f"{size} bytes, expected {n_bytes:,}")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise _refused(path, f"contents of SHA-256 {found}, expected {sha256}")
    return data


def _refused(path: Path, difference: str) -> InputError:
    inside = " once decompressed" if path.suffix == ".gz" else ""
    return InputError(
        f"{show_path(path)} is not the published file: it holds {difference}{inside}; delete it "
        "and download it again"
    )
