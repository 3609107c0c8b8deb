"""Small batches in both layouts of CIFAR-10, and pickles as Python 2 wrote them."""

from __future__ import annotations

import struct

import numpy as np

NAMES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def samples(n_per_batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (6 n, 3072) and labels, as many of each class in either part."""
    rng = np.random.default_rng(seed)
    n = 6 * n_per_batch
    y = np.concatenate([rng.permutation(np.arange(k) % 10) for k in (n - n_per_batch, n_per_batch)])
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), y


def binary_batches(n_per_batch: int) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    x, y = samples(n_per_batch)
    records = np.hstack([y[:, None].astype(np.uint8), x])
    batches = np.split(records, 6)
    return {f"{k}.bin": b.tobytes() for k, b in zip(NAMES, batches, strict=True)}, x, y


def old_string(text: bytes) -> bytes:
    """A ``str`` of Python 2: short or long."""
    if len(text) < 256:
        return b"U" + bytes([len(text)]) + text
    return b"T" + struct.pack("<i", len(text)) + text


def old_int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def old_array(x: np.ndarray) -> bytes:
    """An array as NumPy 1 under Python 2 pickled it by protocol 2."""
    shape = old_int(x.shape[0]) + old_int(x.shape[1]) + b"\x86"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    code = old_string(x.dtype.str[1:].encode())
    dtype = b"cnumpy\ndtype\n" + code + b"K\x00K\x01\x87R(K\x03U\x01|NNN"
    dtype += old_int(-1) + old_int(-1) + b"K\x00tb"
    state = b"(K\x01" + shape + dtype + b"\x89" + old_string(x.tobytes()) + b"t"
    return made + state + b"b"


def old_pickle(x: np.ndarray, y: np.ndarray) -> bytes:
    """A batch as it was published."""
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in y) + b"e"
    names = b"](" + b"".join(old_string(b"image_%d.png" % i) for i in range(len(y))) + b"e"
    items = [
        *(old_string(b"batch_label"), old_string(b"training batch 1 of 5")),
        *(old_string(b"labels"), labels),
        *(old_string(b"data"), old_array(x)),
        *(old_string(b"filenames"), names),
    ]
    return b"\x80\x02}(" + b"".join(items) + b"u."
