"""Checks of input files, the same for every format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import show_path, shown, without_address

_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")


def check_readable(path: Path) -> bytes:
    """Return the first 256 bytes of a file, once it is known to be readable and not empty.

    Raises:
        InputError: if the path is no regular file, or the file is empty or cannot be read.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            head = file.read(256)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{show_path(path)} cannot be read ({reason}); check the path") from None
    if not head:
        raise InputError(f"{show_path(path)} is empty (0 bytes); download or save it again")
    return head


def check_regular(path: Path) -> None:
    """Refuse what is no regular file, such as a pipe, whose end would be waited for.

    Raises:
        InputError: if the path is none.
    """
    if path.is_dir():
        raise InputError(f"{show_path(path)} is a folder; name a file in it")
    if not path.exists():
        raise InputError(f"there is no file {show_path(path)}; check the path")
    if not path.is_file():
        raise InputError(f"{show_path(path)} is no regular file; copy it into one first")


def check_weights_follow(path: Path, head: bytes) -> None:
    """Refuse a Git LFS pointer or a web page, which failed downloads leave in place of weights.

    Raises:
        InputError: if the file begins like a Git LFS pointer or a web page.
    """
    if head.startswith(_LFS):
        raise InputError(
            f"{show_path(path)} is a Git LFS pointer, not the weights themselves; run "
            "`git lfs pull` in its folder"
        )
    if head.lstrip().lower().startswith(_WEB_PAGE):
        raise InputError(
            f"{show_path(path)} is a web page, not weights; download the file itself again"
        )


def is_utf8(path: Path) -> bool:
    """Return whether the path can be encoded in UTF-8; compiled libraries need that."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turn any error from reading a file into an InputError that names the file.

    Raises:
        InputError: in place of any other error; an InputError raised inside is left unchanged.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{show_path(path)} takes more memory than there is") from None
    # The libraries do not document their errors on damaged files, and a file may hold anything.
    except Exception as error:
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        reason = shown(without_address(first_line), 160)
        raise InputError(
            f"{show_path(path)} is truncated, corrupt, or not of the format that its name says "
            f"({reason}); download or save it again"
        ) from None
