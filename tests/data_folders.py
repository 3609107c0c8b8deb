"""Small folders of data in the published layouts, known to the registry for one test."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clusterability.datasets import DATASETS, places
from clusterability.datasets.idx_files import IdxSet

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Hide the data of this machine; returns the cache, which is not there yet."""
    cache = tmp_path / "cache"
    monkeypatch.delenv(places.VARIABLE, raising=False)
    monkeypatch.setattr(places, "SYSTEM", tmp_path / "nowhere")
    monkeypatch.setattr(places, "cache_folder", lambda: cache)
    return cache


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def small_images(seed: int = 0, n_train: int = 60, n_test: int = 30) -> dict[str, np.ndarray]:
    """Images and labels by file name; every class occurs."""
    rng = np.random.default_rng(seed)
    arrays = []
    for n in (n_train, n_test):
        arrays.append(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        arrays.append(rng.permutation(np.arange(n) % 10))
    return dict(zip(FILES, arrays, strict=True))


def write_idx(folder: Path, arrays: dict[str, np.ndarray], suffix: str = ".gz") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / f"{name}{suffix}").write_bytes(
            gzip.compress(content, 1) if suffix == ".gz" else content
        )


def expect(
    monkeypatch: pytest.MonkeyPatch,
    arrays: dict[str, np.ndarray],
    name: str = "mnist",
    url: str = "http://127.0.0.1:9/",
) -> IdxSet:
    """Put these contents in the place of the published ones."""
    entry = DATASETS[name]
    contents = {}
    for file, array in arrays.items():
        data = idx_bytes(array)
        contents[file] = (len(data), hashlib.sha256(data).hexdigest())
    files = IdxSet(entry.files.folders, url, contents)
    monkeypatch.setitem(DATASETS, name, replace(entry, files=files))
    return files


def small_base(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str = "mnist", seed: int = 0
) -> tuple[Path, dict[str, np.ndarray]]:
    """A data folder with a small data set under a published name, and its arrays."""
    alone(monkeypatch, tmp_path)
    arrays = small_images(seed)
    write_idx(tmp_path / "data" / name, arrays)
    expect(monkeypatch, arrays, name)
    return tmp_path / "data", arrays
