"""The folders in which the files of data sets are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clusterability.errors import InputError
from clusterability.shown import shown

VARIABLE = "CLUSTERABILITY_DATA"
SYSTEM = Path("/usr/share/datasets")
"""Where Debian's package ``dataset-fashion-mnist`` puts its files."""


def data_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """``data_dir``, the folder that :data:`VARIABLE` names, the cache, and the system's."""
    return [*named_folders(data_dir), cache_folder(), SYSTEM]


def named_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """``data_dir`` and the folder that :data:`VARIABLE` names: those that the user chose.

    Raises:
        InputError: if ``data_dir`` is given and is no folder.
    """
    named = []
    if data_dir is not None:
        if not _is_folder(data_dir):
            raise InputError(
                f"data_dir is '{shown(str(data_dir), 300)}', which is no folder; name the folder "
                "that holds mnist/, fashion-mnist/ or cifar-10-batches-bin/"
            )
        named.append(Path(data_dir))
    if os.environ.get(VARIABLE):
        named.append(Path(os.environ[VARIABLE]))
    return named


def cache_folder() -> Path:
    """Where downloads go."""
    import pooch

    return Path(pooch.os_cache("clusterability"))


def _is_folder(path: Any) -> bool:
    try:
        return isinstance(path, str | os.PathLike) and Path(path).is_dir()
    except (OSError, TypeError):  # too long, or bytes
        return False


def set_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """Where a set may lie: below ``root``, or ``root`` itself if it has one of the names.

    >>> [str(folder) for folder in set_folders(Path("/data/mnist"), ["mnist", "MNIST/raw"])]
    ['/data/mnist/mnist', '/data/mnist/MNIST/raw', '/data/mnist']
    """
    whole = root.absolute()
    return [root / name for name in names] + [whole for name in names if whole.match(name)]


def is_file(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        InputError: if one may not look.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise InputError(
            f"cannot look for '{shown(str(path), 300)}' ({error.strerror}); check data_dir, "
            f"{VARIABLE} and the permissions"
        ) from None
