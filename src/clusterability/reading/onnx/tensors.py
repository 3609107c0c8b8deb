"""Tensors of an ONNX file, stored in it or in files beside it, as NumPy arrays."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, check_weights_follow
from clusterability.reading.onnx.graph import Array
from clusterability.shown import quoted, show_path

_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_READ = {
    "FLOAT": np.float32,
    "DOUBLE": np.float64,
    "FLOAT16": np.float16,
    "BFLOAT16": np.float32,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "BOOL": np.bool_,
}


def numpy_dtype(data_type: int, subject: str) -> np.dtype[Any]:
    """Return the NumPy type of one of ONNX's element types; float32 for bfloat16.

    Raises:
        InputError: for text, complex numbers, and the quantized types of at most 8 bits that have
            no NumPy type.
    """
    from onnx import TensorProto

    known = {TensorProto.DataType.Value(name): name for name in TensorProto.DataType.keys()}  # noqa: SIM118
    name = known.get(data_type, str(data_type))
    if name in _READ:
        return np.dtype(_READ[name])
    kind = "quantized numbers" if re.search(r"FLOAT[468]|INT[24]", name) else "no plain numbers"
    raise InputError(
        f"{subject} has elements of type {name}, which are {kind}; export the model with float "
        "weights"
    )


def tensor_bytes(tensor: Any) -> int:
    """Return the bytes that a tensor of the declared shape and type takes.

    Raises:
        InputError: if the shape has negative sizes, or the type is not supported.
    """
    subject = f"tensor {quoted(tensor.name)}"
    dims = [int(size) for size in tensor.dims]
    if any(size < 0 for size in dims):
        raise InputError(
            f"{subject} has the shape {dims}, expected no negative size; save it again"
        )
    return math.prod(dims) * _item_size(tensor, subject)


def _item_size(tensor: Any, subject: str) -> int:
    from onnx import TensorProto

    size: int = numpy_dtype(tensor.data_type, subject).itemsize
    return 2 if tensor.data_type == TensorProto.BFLOAT16 else size


def is_external(tensor: Any) -> bool:
    """Whether a tensor's numbers are in another file."""
    from onnx import TensorProto

    return bool(tensor.data_location == TensorProto.EXTERNAL)


def read_tensor(tensor: Any, folder: Path) -> Array:
    """Return the numbers of a tensor; those in another file are mapped, not read.

    Texts, such as the names of classes, are NaN, which no weight may be.

    Raises:
        InputError: if the file does not have as many numbers as the shape needs, or the data are in
            another file that must not or cannot be read.
    """
    from onnx import TensorProto, numpy_helper

    if _holds_text(tensor):
        return np.full(tuple(tensor.dims), np.nan, np.float32)
    n_bytes = tensor_bytes(tensor)
    if is_external(tensor):
        array = _mapped(tensor, folder, n_bytes)
        if tensor.data_type == TensorProto.BFLOAT16:
            # float32, of which bfloat16 is the upper half
            halves = array.view("<u2").astype(np.uint32)
            return (halves << 16).view(np.float32).reshape(tuple(tensor.dims))
        dtype = numpy_dtype(tensor.data_type, "it").newbyteorder("<")
        return array.view(dtype).reshape(tuple(tensor.dims))
    _check_length(tensor, n_bytes)
    array = np.asarray(numpy_helper.to_array(tensor))
    return array.astype(np.float32) if tensor.data_type == TensorProto.BFLOAT16 else array


def _holds_text(tensor: Any) -> bool:
    from onnx import TensorProto

    dims, n_texts = [int(size) for size in tensor.dims], len(tensor.string_data)
    fits = n_texts == math.prod(dims) and min(dims, default=0) >= 0
    return bool(tensor.data_type == TensorProto.STRING and n_texts and fits)


def _check_length(tensor: Any, n_bytes: int) -> None:
    subject = f"tensor {quoted(tensor.name)}"
    if tensor.HasField("raw_data"):
        held, expected, unit = len(tensor.raw_data), n_bytes, "bytes"
    else:
        held = sum(len(getattr(tensor, name)) for name in _FIELDS)
        expected, unit = math.prod(tensor.dims), "numbers"
    if held != expected:
        raise InputError(
            f"{subject} of shape {list(tensor.dims)} needs {expected} {unit}, but the file has "
            f"{held}; download or export it again"
        )


def _mapped(tensor: Any, folder: Path, n_bytes: int) -> Array:
    """Return the bytes of a tensor in another file, mapped after every check on their place."""
    subject = f"tensor {quoted(tensor.name)}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = external_path(subject, entries.get("location", ""), folder)
    offset = _number(subject, "offset", entries.get("offset", "0"))
    size = path.stat().st_size
    length = _number(subject, "length", entries.get("length", str(n_bytes)))
    if length != n_bytes:
        raise InputError(
            f"{subject} of shape {list(tensor.dims)} needs {n_bytes} bytes, but has {length} in "
            f"{show_path(path)}; export the model again"
        )
    if offset + length > size:
        raise InputError(
            f"{subject} is said to be at bytes {offset} to {offset + length} of {show_path(path)}, "
            f"which has {size}; download or export both files again"
        )
    if n_bytes == 0:
        return np.zeros(0, np.uint8)
    # Copy on write: changes of the array never reach the file.
    return np.memmap(path, np.uint8, "c", offset=offset, shape=(n_bytes,))


def external_path(subject: str, location: str, folder: Path) -> Path:
    """Return the path of a tensor's data, which must be inside the model's own folder.

    Raises:
        InputError: if the path is absolute, leaves the folder by itself or through a link, or
            names no file with data.
    """
    parts = re.split(r"[/\\]", location)
    # Backslashes and colons are separators on other systems: one rule for all.
    if not location or "\0" in location or ":" in parts[0] or not parts[0] or ".." in parts:
        raise InputError(
            f"{subject} has its data in {quoted(location)}, expected a path inside the model's own "
            "folder; export the model again with its data beside it"
        )
    path = folder.joinpath(*parts)
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        raise InputError(
            f"{subject} has its data in {quoted(location)}, a link that leaves the model's own "
            "folder; put a copy of the file itself there"
        )
    if not _exists(path):
        raise InputError(
            f"{subject} has its data in the file {quoted(location)}, which is not there; put it "
            f"into the folder of the model, {show_path(folder)}"
        )
    check_weights_follow(path, check_readable(path))
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _number(subject: str, key: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputError(
            f"{subject} has the {key} {quoted(text)} for its data, expected a number of bytes; "
            "export the model again"
        )
    return int(text)
