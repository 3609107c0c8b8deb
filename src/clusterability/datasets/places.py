"""The folders in which the files of data sets are looked for."""

from __future__ import annotations

import os
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import shown

VARIABLE = "CLUSTERABILITY_DATA"
SYSTEM = Path("/usr/share/datasets")
"""Where Debian's package ``dataset-fashion-mnist`` puts its files."""


def data_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """``data_dir``, the folder that :data:`VARIABLE` names, the cache, and the system's.

    Raises:
        InputError: if ``data_dir`` is given and is no folder.
    """
    named = []
    if data_dir is not None:
        if not Path(data_dir).is_dir():
            raise InputError(
                f"data_dir is '{shown(str(data_dir), 300)}', which is no folder; name the folder "
                "that holds mnist/, fashion-mnist/ or cifar-10-batches-bin/"
            )
        named.append(Path(data_dir))
    if os.environ.get(VARIABLE):
        named.append(Path(os.environ[VARIABLE]))
    return [*named, cache_folder(), SYSTEM]


def cache_folder() -> Path:
    """Where downloads go."""
    import pooch

    return Path(pooch.os_cache("clusterability"))
