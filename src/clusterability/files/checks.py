"""Checks on a file that hold for every format of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import show_path, shown, without_address

_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")


def check_readable(path: Path) -> bytes:
    """The first bytes of a regular file that can be read and is not empty.

    Raises:
        InputError: if it is no such file.
    """
    try:
        if path.is_dir():
            raise InputError(f"{show_path(path)} is a folder; name a file in it")
        if not path.exists():
            raise InputError(f"there is no file {show_path(path)}; check the path")
        if not path.is_file():
            raise InputError(f"{show_path(path)} is no regular file; copy it into one first")
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


def check_weights_follow(path: Path, head: bytes) -> None:
    """Refuse what downloads leave in the place of weights.

    Raises:
        InputError: if the first bytes are those of a Git LFS pointer or of a web page.
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
    """Whether the path has a form in UTF-8, as libraries need that are not written in Python."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turn any error from reading a damaged file into one sentence that names the file.

    Raises:
        InputError: in place of any error; one that is raised inside passes as it is.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{show_path(path)} takes more memory than there is") from None
    # What the libraries raise on damaged files is not documented, and a file may hold anything.
    except Exception as error:
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        reason = shown(without_address(first_line), 160)
        raise InputError(
            f"{show_path(path)} is truncated, corrupt, or not of the format that its name says "
            f"({reason}); download or save it again"
        ) from None
