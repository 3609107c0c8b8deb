"""A safe reader for CIFAR-10's Python layout: pickles are read without running their code.

A pickle names functions and classes for Python to call. This reader knows only the five names that
arrays and byte strings need, and replaces each by a class of this module, so that not even NumPy's
functions are called.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, explain_damage
from clusterability.files.pickles import check_pickle
from clusterability.shown import show_path

N_PIXELS = 3072
# Python 3 writes a byte above 127 as two bytes for Python 2; each image also has a file name.
MOST_BYTES_PER_IMAGE = 2 * N_PIXELS + 200

TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
GETS = ("GET", "BINGET", "LONG_BINGET")
# The pickle of an array has three tuples inside others.
MOST_INNER_TUPLES = 100


class _Array:
    """Replaces an array: keeps the state from which NumPy would restore it."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _DType:
    """Replaces a dtype: keeps its code."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, _: object) -> None:
        pass


class _Encoded:
    """Replaces ``codecs.encode``, which Python 3 uses to write bytes for Python 2."""

    def __new__(cls, text: str, _: object) -> Any:
        return text.encode("latin1")

    def __setstate__(self, _: object) -> None:
        pass


KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _Encoded,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of data")
        return KNOWN[module, name]


def read_batch(path: Path, n_images: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pixels (n_images, 3072) and the labels of one batch.

    Raises:
        InputError: if the file is damaged, names any other function, or holds other data.
    """
    check_readable(path)
    with explain_damage(path):
        if path.stat().st_size > n_images * MOST_BYTES_PER_IMAGE + 10_000:
            raise _refusal(path, f"{path.stat().st_size:,} bytes")
        data = path.read_bytes()
        _check_operations(data)
        batch = _Reader(io.BytesIO(data), encoding="bytes").load()
        pixels = _pixels(batch[b"data"].state, n_images)
        labels = batch[b"labels"]
    if pixels is None:
        raise _refusal(path, "other pixels")
    if not isinstance(labels, list) or len(labels) != n_images:
        raise _refusal(path, "other labels")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise _refusal(path, "labels beyond 0..9")
    return pixels, np.array(labels, np.int64)


def _check_operations(data: bytes) -> None:
    """Refuse pickles that make the unpickler use far more memory, stack or time than their size.

    The unpickler allocates its memo up to the largest number of an object. Hashing a tuple hashes
    the tuples inside it: many levels overflow the stack, and if each level holds the one below
    twice, the time grows exponentially.
    """
    numbers: set[int] = set()
    of_tuples: set[int] = set()
    n_inner, previous = 0, ""
    for operation, argument, _ in pickletools.genops(data):
        name = operation.name
        if name in PUTS:
            number = len(numbers) if name == "MEMOIZE" else int(argument or 0)
            if number > len(data):
                raise pickle.UnpicklingError(f"it numbers an object {number}")
            numbers.add(number)
            if previous in TUPLES:
                of_tuples.add(number)
            continue
        if name == "DUP" or (name in GETS and int(argument or 0) in of_tuples):
            raise pickle.UnpicklingError("it uses a tuple twice, which is no part of data")
        n_inner += previous in TUPLES and name not in ("REDUCE", "BUILD")
        if n_inner > MOST_INNER_TUPLES:
            raise pickle.UnpicklingError(f"it has more than {MOST_INNER_TUPLES} tuples in others")
        previous = name
    try:
        check_pickle(data)
    except InputError as error:
        raise pickle.UnpicklingError(str(error)) from None


def _pixels(state: tuple[Any, ...], n_images: int) -> NDArray[np.uint8] | None:
    _, shape, dtype, is_fortran, content = state
    if shape != (n_images, N_PIXELS) or dtype.code not in ("u1", b"u1") or is_fortran:
        return None
    return np.frombuffer(content, np.uint8).reshape(shape)


def _refusal(path: Path, found: str) -> InputError:
    return InputError(
        f"{show_path(path)} is no batch of CIFAR-10: it holds {found}; download it again"
    )
