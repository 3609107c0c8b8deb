"""Downloads: into a folder of their own, used only once they have been checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from clusterability.errors import InputError
from clusterability.shown import shown

TIMEOUT = 60.0
CHUNK = 2**16
BY_HAND = (
    "download the files by hand and name the folder above theirs with data_dir or "
    "CLUSTERABILITY_DATA"
)


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
            f"cannot write to '{shown(str(folder), 300)}' ({error.strerror or error}); {BY_HAND}"
        ) from None
    return folder


@contextmanager
def downloaded(
    url: str, folder: Path, progress: bool, n_bytes: int, known_hash: str | None = None
) -> Iterator[Path]:
    """A file in a temporary folder inside ``folder``, to be checked and moved out from there.

    Args:
        url: the file's address.
        folder: on the same disk as the file's last place, so that moving it is atomic.
        progress: show a bar, if standard error is a terminal.
        n_bytes: of what it holds, decompressed; the download is broken off at about twice that.
        known_hash: of the file as downloaded, as ``md5:...``, where it is known.

    Raises:
        InputError: if it cannot be downloaded whole or stored, has another hash, or is refused
            when checked.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
        path = _retrieved(url, Path(temporary), progress, 2 * n_bytes + CHUNK, known_hash)
        try:
            yield path
        except InputError as error:
            # The temporary file is gone when the message is read.
            reason = str(error).replace(f"'{shown(str(path), 300)}'", "what was downloaded")
            raise InputError(f"{url}: {reason}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"cannot store {path.name} in '{shown(str(folder), 300)}' ({reason}); free some "
                "space there, and remove what has that name"
            ) from None


class _Capped:
    """A file that takes no more than so many bytes."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self.file, self.most_bytes, self.n_bytes = file, most_bytes, 0

    def write(self, data: bytes) -> int:
        self.n_bytes += len(data)
        if self.n_bytes > self.most_bytes:
            raise ValueError(f"it sends more than {self.most_bytes:,} bytes")
        return self.file.write(data)

    def flush(self) -> None:
        """Nothing: the file is flushed when it is closed."""


def _retrieved(
    url: str, folder: Path, progress: bool, most_bytes: int, known_hash: str | None
) -> Path:
    import pooch
    import requests
    from tqdm import tqdm

    name = url.rsplit("/", 1)[-1]
    pooch.get_logger().setLevel("WARNING")
    settings = {"unit": "B", "unit_scale": True, "leave": False}
    # disable=None leaves pipes alone; pooch sets the total, but takes a bar of none for no bar.
    bar = tqdm(desc=name, total=1, disable=None if progress else True, **settings)

    def downloader(url: str, path: str, _: object) -> None:
        with open(path, "wb") as file:
            http(url, _Capped(file, most_bytes), None)

    try:
        with bar:
            http = pooch.HTTPDownloader(
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
            f"cannot download {url} ({reason}); check the connection, or {BY_HAND}"
        ) from None
    return Path(path)
