"""Output files: checked to be writable before the work, and written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import shown

_UMASK = threading.Lock()
"""The umask can only be read by setting it, which two threads must not do at once."""


def check_writable(path: str | Path) -> None:
    """Refuse a path that cannot be written, without changing it.

    Raises:
        InputError: if the folder is missing or not writable, or the path is a folder.
    """
    target = _target(path)
    try:
        if target.is_dir():
            raise InputError(f"cannot write {_quoted(path)}: it is a folder; name a file in it")
        if not target.parent.is_dir():
            folder = _quoted(target.parent)
            raise InputError(
                f"cannot write {_quoted(path)}: there is no folder {folder}; make it first"
            )
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "the file is read-only")
        if _is_replaceable(target):
            target.stat()  # raises for names that are too long
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(path, error) from None
    if _is_replaceable(target):
        try:
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise _refused(path, error) from None


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it, or else the previous content.

    A link is followed, an existing file keeps its permissions, and a pipe or device is written to.

    Raises:
        InputError: if it cannot be written.
    """
    check_writable(path)
    target = _target(path)
    temporary = None
    try:
        if not _is_replaceable(target):
            target.write_bytes(content)
            return
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(target))
        os.replace(temporary, target)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _target(path: str | Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None


def _is_replaceable(target: Path) -> bool:
    return target.is_file() or not target.exists()


def _permissions(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    with _UMASK:
        umask = os.umask(0)
        os.umask(umask)
    return 0o666 & ~umask


def _refused(path: str | Path, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"cannot write {_quoted(path)}: {reason}; choose another path")


def _quoted(path: str | Path) -> str:
    return f"'{shown(str(path), 300)}'"
