"""Downloads into a temporary folder; a file is moved to its place once it is checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from clusterability.errors import InputError
from clusterability.shown import show_path, shown

TIMEOUT = 60.0
CHUNK = 2**16
BY_HAND = (
    "download the files by hand and name the folder above theirs with data_dir or "
    "CLUSTERABILITY_DATA"
)


def make_folder(folder: Path) -> Path:
    """Make a folder if it is missing, check that it can be written to, and return it.

    Raises:
        InputError: if the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {show_path(folder)} ({error.strerror or error}); {BY_HAND}"
        ) from None
    return folder


@contextmanager
def download(
    url: str, folder: Path, progress: bool, n_bytes: int, known_hash: str | None = None
) -> Iterator[Path]:
    """Download a file into a temporary folder inside ``folder``; the caller checks and moves it.

    Args:
        url: address of the file.
        folder: folder on the same disk as the file's final place, so that moving it is atomic.
        progress: whether to show a progress bar, if standard error is a terminal.
        n_bytes: size of the decompressed contents; a download of about twice that is stopped.
        known_hash: expected hash of the downloaded file, as ``md5:...``; None if unknown.

    Raises:
        InputError: if the file cannot be downloaded or stored, has another hash, or fails the
            caller's checks.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
        path = _retrieve(url, Path(temporary), progress, 2 * n_bytes + CHUNK, known_hash)
        try:
            yield path
        except InputError as error:
            # The temporary file is deleted before the user reads the message: do not name it.
            reason = str(error).replace(show_path(path), "what was downloaded")
            raise InputError(f"{url}: {reason}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"cannot store {path.name} in {show_path(folder)} ({reason}); free some "
                "space there, and remove what has that name"
            ) from None


class _Capped:
    """A file for writing that refuses more than ``most_bytes`` bytes."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self.file, self.most_bytes, self.n_bytes = file, most_bytes, 0

    def write(self, data: bytes) -> int:
        self.n_bytes += len(data)
        if self.n_bytes > self.most_bytes:
            raise ValueError(f"it sends more than {self.most_bytes:,} bytes")
        return self.file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is closed."""


def _retrieve(
    url: str, folder: Path, progress: bool, most_bytes: int, known_hash: str | None
) -> Path:
    import pooch
    import requests
    from tqdm import tqdm

    name = url.rsplit("/", 1)[-1]
    pooch.get_logger().setLevel("WARNING")
    settings = {"unit": "B", "unit_scale": True, "leave": False}
    # disable=None shows no bar in pipes. pooch sets the total, but ignores a bar with total 0.
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
                # Otherwise some servers send the file decompressed, with another checksum.
                headers={"Accept-Encoding": "identity"},
            )
            path = pooch.retrieve(url, known_hash, name, folder, downloader=downloader)
    except (requests.RequestException, OSError, ValueError) as error:
        reason = shown(f"{type(error).__name__}: {error}".splitlines()[0], 120)
        raise InputError(
            f"cannot download {url} ({reason}); check the connection, or {BY_HAND}"
        ) from None
    return Path(path)
