"""The folders where the files of data sets are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clusterability.errors import InputError
from clusterability.shown import show_path

VARIABLE = "CLUSTERABILITY_DATA"
SYSTEM = Path("/usr/share/datasets")
"""The folder of Debian's package ``dataset-fashion-mnist``."""


def data_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """Return all data folders: :func:`named_folders`, the cache, and :data:`SYSTEM`."""
    return [*named_folders(data_dir), cache_folder(), SYSTEM]


def named_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """Return the user's folders: ``data_dir``, and the one in the variable :data:`VARIABLE`.

    Raises:
        InputError: if ``data_dir`` is not None and no folder.
    """
    named = []
    if data_dir is not None:
        if not _is_folder(data_dir):
            raise InputError(
                f"data_dir is {show_path(data_dir)}, which is no folder; name the folder "
                "that holds mnist/, fashion-mnist/ or cifar-10-batches-bin/"
            )
        named.append(Path(data_dir))
    if os.environ.get(VARIABLE):
        named.append(Path(os.environ[VARIABLE]))
    return named


def cache_folder() -> Path:
    """Return the user's cache folder, which takes the downloads."""
    import pooch

    return Path(pooch.os_cache("clusterability"))


def _is_folder(path: Any) -> bool:
    try:
        return isinstance(path, str | os.PathLike) and Path(path).is_dir()
    except (OSError, TypeError):  # the path is too long, or bytes
        return False


def set_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """Return a set's possible folders: below ``root``, or ``root`` if it has one of the names.

    >>> [str(folder) for folder in set_folders(Path("/data/mnist"), ["mnist", "MNIST/raw"])]
    ['/data/mnist/mnist', '/data/mnist/MNIST/raw', '/data/mnist']
    """
    whole = root.absolute()
    return [root / name for name in names] + [whole for name in names if whole.match(name)]


def is_file(path: Path) -> bool:
    """Return whether the path is a file.

    Raises:
        InputError: if the system refuses to tell, as without permission for the folder.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise InputError(
            f"cannot look for {show_path(path)} ({error.strerror}); check data_dir, "
            f"{VARIABLE} and the permissions"
        ) from None
