"""Downloads: into a folder of their own, used only once they have been checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterability.errors import InputError
from clusterability.shown import shown

TIMEOUT = 60.0
CHUNK = 2**16


def made_folder(folder: Path) -> Path:
    """The folder, made if it is missing.

    Raises:
        InputError: if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to '{shown(str(folder), 300)}' ({error.strerror or error}); download "
            "the files by hand and name their folder with data_dir or CLUSTERABILITY_DATA"
        ) from None
    return folder


@contextmanager
def downloaded(
    url: str, folder: Path, progress: bool, known_hash: str | None = None
) -> Iterator[Path]:
    """A file in a temporary folder inside ``folder``, to be checked and moved out from there.

    Args:
        url: the file's address.
        folder: on the same disk as the file's last place, so that moving it is atomic.
        progress: show a bar, if standard error is a terminal.
        known_hash: of the file as downloaded, as ``md5:...``, where it is known.

    Raises:
        InputError: if it cannot be downloaded whole, has another hash, or is refused when checked.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
        path = _retrieved(url, Path(temporary), progress, known_hash)
        try:
            yield path
        except InputError as error:
            # The temporary file is gone when the message is read.
            reason = str(error).replace(f"'{shown(str(path), 300)}'", "what was downloaded")
            raise InputError(f"{url}: {reason}") from None


def _retrieved(url: str, folder: Path, progress: bool, known_hash: str | None) -> Path:
    import pooch
    import requests
    from tqdm import tqdm

    name = url.rsplit("/", 1)[-1]
    pooch.get_logger().setLevel("WARNING")
    settings = {"unit": "B", "unit_scale": True, "leave": False}
    # disable=None leaves pipes alone; pooch sets the total, but takes a bar of none for no bar.
    bar = tqdm(desc=name, total=1, disable=None if progress else True, **settings)
    try:
        with bar:
            downloader = pooch.HTTPDownloader(
                progressbar=bar,
                chunk_size=CHUNK,
                timeout=TIMEOUT,
                # else some servers send the file decompressed, with another checksum
                headers={"Accept-Encoding": "identity"},
            )
            path = pooch.retrieve(url, known_hash, name, folder, downloader=downloader)
    except (requests.RequestException, OSError, ValueError) as error:
        reason = shown(f"{type(error).__name__}: {error}".splitlines()[0], 120)
        raise InputError(
            f"cannot download {url} ({reason}); check the connection, or download it by hand and "
            "name its folder with data_dir or CLUSTERABILITY_DATA"
        ) from None
    return Path(path)
