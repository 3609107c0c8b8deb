"""Output files: a check before the computation, and writing that leaves no partial file."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import show_path

_UMASK = threading.Lock()
"""Reading the umask requires setting it, and two threads must not do that at once."""


def check_writable(path: str | Path) -> None:
    """Refuse a path that cannot be written; the file is not changed.

    Raises:
        InputError: if the folder is missing or not writable, or the path is a folder.
    """
    target = _target(path)
    try:
        if target.is_dir():
            raise InputError(f"cannot write {show_path(path)}: it is a folder; name a file in it")
        if not target.parent.is_dir():
            folder = show_path(target.parent)
            raise InputError(
                f"cannot write {show_path(path)}: there is no folder {folder}; make it first"
            )
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "the file is read-only")
        if _is_replaceable(target):
            target.stat()  # raises for names that are too long
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refusal(path, error) from None
    if _is_replaceable(target):
        try:
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise _refusal(path, error) from None


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader sees either the previous content or all of the new one.

    Links are followed, and an existing file keeps its permissions. Pipes and devices are written
    directly.

    Raises:
        InputError: if the file cannot be written.
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
        raise _refusal(path, error) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _target(path: str | Path) -> Path:
    """Return the path behind symbolic links; those of a pipe or a device lead to no path."""
    try:
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            return Path(path)
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None


def _is_replaceable(target: Path) -> bool:
    return target.is_file() or not target.exists()


def _permissions(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    with _UMASK:
        umask = os.umask(0)
        os.umask(umask)
    return 0o666 & ~umask


def _refusal(path: str | Path, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"cannot write {show_path(path)}: {reason}; choose another path")
