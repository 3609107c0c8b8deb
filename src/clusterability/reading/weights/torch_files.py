"""Weights from files of ``torch.save``, without running code from their pickles."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.checks import is_utf8
from clusterability.files.memory import check_fits
from clusterability.files.pickles import check_pickle
from clusterability.files.protocols import as_protocol_2, read_pickle, read_protocol
from clusterability.shown import quoted, show_path, shown

_N_PICKLES = 5
"""Number of pickles in a file of torch.save's older format, before the tensors themselves."""

_REMEDY = (
    "save the weights alone with torch.save(model.state_dict(), ...) or as .safetensors, in a "
    "process that trusts the file"
)


class Unread:
    """Stands for an object beside the weights, of which nothing is read and nothing is run."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class UnreadArray(Unread):
    """Stands for a NumPy array."""


def _dictionary(*_: object) -> dict[Any, Any]:
    return {}


def _sequence(*_: object) -> list[Any]:
    return []


_UNREAD = (
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *(
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
        "argparse.Namespace",
        "types.SimpleNamespace",
    ),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *(f"{m}.{k}Path" for m in ("pathlib", "pathlib._local") for k in ("Posix", "Windows", "")),
    *(f"{m}.Pure{k}Path" for m in ("pathlib", "pathlib._local") for k in ("Posix", "Windows")),
    *("decimal.Decimal", "uuid.UUID"),
    *(
        f"{module}.{kind}"
        for module in ("builtins", "__builtin__")
        for kind in ("list", "dict", "int", "float", "frozenset", "range", "slice")
    ),
)
_HARMLESS: list[Any] = [
    *((Unread, name) for name in _UNREAD),
    *((UnreadArray, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((UnreadArray, f"numpy.{core}.numeric._frombuffer") for core in ("core", "_core")),
    (_dictionary, "collections.defaultdict"),
    (_sequence, "collections.deque"),
]
"""What may lie beside weights, by the names that pickles give it, and what stands in its place."""


def read_torch(path: Path) -> Mapping[str, Any]:
    """Return the saved mapping, its tensors on the CPU and mapped from the file where possible.

    Raises:
        InputError: if the pickle would run code, the file is a TorchScript archive or holds no
            mapping, or its tensors claim more bytes than it has.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04" and zipfile.is_zipfile(path):
        n_bytes, mappable = _check_archive(path)
    elif head.startswith(pickle.PROTO):
        n_bytes, mappable = path.stat().st_size, False
    else:
        raise InputError(
            f"{show_path(path)} is not what torch.save writes, neither a whole zip archive nor a "
            "pickle: it is truncated or of another format; download or save it again"
        )
    _check_pickles(path, is_archive=head == b"PK\x03\x04")
    rewritten = _in_protocol_2(path, is_archive=head == b"PK\x03\x04")
    # torch opens only UTF-8 paths, and maps only by path: others are read from an open file.
    mappable = mappable and is_utf8(path) and rewritten is None
    try:
        with rewritten or path.open("rb") as file, warnings.catch_warnings():
            # torch warns of pickles that it did not write; those that fail are refused below.
            warnings.simplefilter("ignore")
            source = path if mappable else file
            with torch.serialization.safe_globals(_HARMLESS):
                content = torch.load(source, map_location="cpu", weights_only=True, mmap=mappable)
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path, str(error))) from None
    if not isinstance(content, Mapping):
        raise InputError(
            f"{show_path(path)} holds a {type(content).__name__}, expected a state dict: a "
            "mapping of names to tensors"
        )
    _check_tensors(path, content, n_bytes)
    _check_no_arrays(path, content, depth=4)
    return content


def _check_no_arrays(path: Path, content: Mapping[str, Any], depth: int) -> None:
    """Refuse arrays that may be weights, as they lie among tensors; others are not read."""
    arrays = [name for name, value in content.items() if isinstance(value, UnreadArray)]
    if arrays and any(isinstance(value, Tensor) for value in content.values()):
        raise InputError(
            f"{quoted(arrays[0])} in {show_path(path)} is a NumPy array among tensors; save it as "
            "a tensor (torch.as_tensor), or all of them by numpy.savez"
        )
    for value in content.values():
        if isinstance(value, Mapping) and depth:
            _check_no_arrays(path, value, depth - 1)


def _check_pickles(path: Path, is_archive: bool) -> None:
    """Refuse pickles that take far more than their size; what else is wrong, torch will find."""
    try:
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith("data.pkl"):
                        check_pickle(archive.read(member))
        else:
            with path.open("rb") as file:
                for _ in range(_N_PICKLES):
                    check_pickle(file)
    except InputError as error:
        raise InputError(f"{show_path(path)} is not what torch.save writes: {error}") from None
    except Exception:  # the end of the file, or damage
        return


def _in_protocol_2(path: Path, is_archive: bool) -> IO[bytes] | None:
    """Return the file with pickles that torch reads, in memory; None if it has these itself."""
    try:
        if is_archive:
            return _archive_in_protocol_2(path)
        with path.open("rb") as file:
            pickles = [read_pickle(file) for _ in range(_N_PICKLES)]
            if max(map(read_protocol, pickles)) < 3:
                return None
            check_fits(show_path(path), 2 * path.stat().st_size)
            return io.BytesIO(b"".join([*map(as_protocol_2, pickles), file.read()]))
    except InputError:
        raise
    except Exception:  # damage, which torch will find
        return None


def _archive_in_protocol_2(path: Path) -> IO[bytes] | None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        (name,) = (m.filename for m in members if m.filename.endswith("data.pkl"))
        pickled = archive.read(name)
        if read_protocol(pickled) < 3:
            return None
        check_fits(show_path(path), 2 * sum(member.file_size for member in members))
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w") as rewritten:
            for member in members:
                is_pickle = member.filename == name
                data = as_protocol_2(pickled) if is_pickle else archive.read(member)
                rewritten.writestr(member.filename, data)
    copy.seek(0)
    return copy


def _check_archive(path: Path) -> tuple[int, bool]:
    """Return the members' bytes, and whether they can be mapped, as none is compressed."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = {member.filename.rpartition("/")[2] for member in members}
    if "constants.pkl" in names:
        raise InputError(
            f"{show_path(path)} is a TorchScript archive, which holds code; load it in PyTorch "
            "and save its state_dict() with torch.save or as .safetensors"
        )
    if "data.pkl" not in names:
        raise InputError(
            f"{show_path(path)} is a zip archive that torch.save did not write: it has no "
            "data.pkl; rename it if it is an .npz, else save it again"
        )
    n_bytes = sum(member.file_size for member in members)
    check_fits(show_path(path), n_bytes)
    return n_bytes, all(member.compress_type == zipfile.ZIP_STORED for member in members)


def _refusal(path: Path, message: str) -> str:
    """Return the message for a pickle that needs more than tensors and plain containers."""
    found = re.search(r"GLOBAL ([\w.<>]+) (?:was not|whose)", message)
    called = found.group(1) if found else ""
    if called.startswith("torch.nn."):
        return (
            f"{show_path(path)} holds a whole pickled module ({shown(called)}), and loading that "
            f"would run code; {_REMEDY}"
        )
    if called:
        return f"{show_path(path)} holds a pickle that would run code ({shown(called)}); {_REMEDY}"
    if "nsupported" in message:
        return (
            f"{show_path(path)} is not a file of tensors that PyTorch can read safely; download it "
            f"again if it should be one, or {_REMEDY}"
        )
    return (
        f"{show_path(path)} is truncated, corrupt, or not what torch.save writes; download or "
        "save it again"
    )


def _check_tensors(path: Path, content: Mapping[str, Any], n_bytes: int) -> None:
    """Refuse tensors that take more memory than the file has bytes for."""
    total = 0
    for name, tensor in _tensors(content, depth=4):
        if tensor.is_meta or tensor.layout != torch.strided:
            continue
        stored = tensor.untyped_storage().nbytes()
        taken = tensor.numel() * tensor.element_size()
        if taken > stored or stored > n_bytes:
            raise InputError(
                f"{quoted(name)} in {show_path(path)} claims {taken} bytes, but the file has "
                f"{min(stored, n_bytes)} for it; save the state dict again with contiguous tensors"
            )
        total += taken
    check_fits(show_path(path), total)


def _tensors(content: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Tensor]]:
    for name, value in content.items():
        if isinstance(value, Tensor):
            yield str(name), value
        elif isinstance(value, Mapping) and depth:
            yield from _tensors(value, depth - 1)
