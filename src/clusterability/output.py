"""Output files: found writable before the work, and written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from clusterability.errors import InputError


def check_writable(path: str | Path) -> None:
    """Refuse a path that cannot be written, without changing it.

    Raises:
        InputError: if the folder is missing or not writable, or the path is a folder.
    """
    path = Path(path)
    folder = path.parent
    if path.is_dir():
        raise InputError(f"cannot write {str(path)!r}: it is a folder; name a file in it")
    if not folder.is_dir():
        raise InputError(
            f"cannot write {str(path)!r}: there is no folder {str(folder)!r}; make it first"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "the file is read-only")
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r}: {error.strerror}; choose another path"
        ) from None


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or what was there before.

    Raises:
        InputError: if it cannot be written.
    """
    path = Path(path)
    check_writable(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r}: {error.strerror}; choose another path"
        ) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
