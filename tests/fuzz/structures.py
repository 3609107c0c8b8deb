"""Damage inside of containers, which stay whole: archives, headers, pickles, messages, HDF5."""

from __future__ import annotations

import io
import json
import multiprocessing
import pickletools
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz.mutations import NUMBERS, SIZES, damaged_bytes, damaged_json

Damage = Callable[[bytes, Random, list[bytes]], bytes]

MOST_MEMBER = 1_000_000


def otherwise(damage: Damage, share: float = 0.6) -> Damage:
    """Return damage of this kind for a share of the inputs, to plain bytes for the others."""

    def either(data: bytes, rng: Random, others: list[bytes]) -> bytes:
        if rng.random() < share:
            try:
                return damage(data, rng, others)
            except Exception:  # what was damaged before has no structure left
                return damaged_bytes(data, rng, others)
        return damaged_bytes(data, rng, others)

    return either


def in_archive(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    """Change one member, or the list of members, of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        members = [(info.filename, archive.open(info).read(MOST_MEMBER)) for info in infos]
    compression = rng.choice((infos[0].compress_type, zipfile.ZIP_DEFLATED))
    at = rng.randrange(len(members))
    name, content = members[at]
    how = rng.randrange(12)
    if how == 0:
        del members[at]
    elif how == 1:
        members.append((rng.choice(members)[0], content))
    elif how == 2:
        members[at] = (damaged_bytes(name.encode(), rng, []).decode("latin1"), content)
    else:
        pieces = [other for _, other in members]
        members[at] = (name, _of_member(name)(content, rng, pieces))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name or "x"), content, compression)
    return written.getvalue()


def _of_member(name: str) -> Damage:
    if name.endswith(".json"):
        return otherwise(damaged_json)
    if name.endswith(".pkl"):
        return otherwise(in_pickle)
    return in_hdf5 if name.endswith(".h5") else damaged_bytes


def in_header(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Change the JSON of a safetensors file, and keep its length right."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    text = header.get("__metadata__", {}).get("checkpoint")
    if text and rng.random() < 0.8:
        inner = damaged_json(text.encode(), rng, others)
        header["__metadata__"]["checkpoint"] = inner.decode("utf-8", "replace")
        changed = json.dumps(header).encode()
    else:
        changed = damaged_json(data[8 : 8 + length], rng, others)
    return struct.pack("<Q", len(changed)) + changed + data[8 + length :]


def in_pickle(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Change, remove, repeat or move whole operations of a pickle."""
    starts = [place for _, _, place in pickletools.genops(data)]
    end = starts[-1] + 1
    parts = [data[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    at = rng.randrange(len(parts))
    how = rng.randrange(5)
    if how == 0:
        del parts[at]
    elif how == 1:
        parts[at:at] = parts[at : at + rng.choice((1, 2, 5))] * rng.choice((1, 2, 40))
    elif how == 2:
        other = rng.randrange(len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif how == 3:
        parts[at] = rng.choice(
            (b"N", b"2", b"0", b"(", b"}", b"]", b"t", b"\x85", b"\x86", b"R", b"b", b"s", b"\x8f")
        )
    else:
        parts[at] = damaged_bytes(parts[at], rng, others)
    return b"".join(parts) + data[end:]


def in_message(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    """Change one field of an ONNX file's messages."""
    import onnx

    model = onnx.load_model_from_string(data)
    messages = list(_messages(model))
    message = rng.choice(messages)
    fields = message.DESCRIPTOR.fields
    field = rng.choice([f for f, _ in message.ListFields()] if rng.random() < 0.7 else fields)
    _change_field(message, field, rng, messages)
    return bytes(model.SerializeToString())


def _messages(message: Any) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if hasattr(value, "append") else [value]:
                yield from _messages(inner)


def _change_field(message: Any, field: Any, rng: Random, messages: list[Any]) -> None:
    current = getattr(message, field.name)
    repeated = hasattr(current, "append")
    if rng.random() < 0.15:
        message.ClearField(field.name)
        return
    if field.type == field.TYPE_MESSAGE:
        alike = [m for m in messages if m.DESCRIPTOR is field.message_type]
        if alike:
            content = rng.choice(alike).SerializeToString()  # it may hold the message itself
            (current.add() if repeated else current).MergeFromString(content)
        return
    value = _value_of(field, rng, messages)
    if not repeated:
        setattr(message, field.name, value)
    elif len(current) and rng.random() < 0.7:
        current[rng.randrange(len(current))] = value
    else:
        current.append(value)


def _value_of(field: Any, rng: Random, messages: list[Any]) -> Any:
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        names = [str(v) for m in messages for f, v in m.ListFields() if f.type == f.TYPE_STRING]
        text = rng.choice([*names, "", "x", "../x", "\x1b[2J", "Loop", "Gemm", "é" * 200])
        return text if field.type == field.TYPE_STRING else text.encode()
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e-40, 3e38))
    if field.type == field.TYPE_ENUM:
        return rng.choice(list(field.enum_type.values_by_number))
    narrow = field.type in (field.TYPE_INT32, field.TYPE_UINT32)
    number = rng.choice((*SIZES, *range(-5, 24)))
    low = 0 if field.type in (field.TYPE_UINT32, field.TYPE_UINT64) else -(2**31)
    return max(low, min(number, 2**31 - 1 if narrow else 2**63 - 1))


def in_hdf5(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Change the configuration of a model, a dataset or a link of an HDF5 file.

    A process of its own does so: what was damaged before may crash the library.
    """
    own = Random(rng.random())
    if own.random() < 0.4:
        return damaged_bytes(data, own, others)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_hdf5, args=(theirs, data, own), daemon=True)
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(10) else None
    except EOFError:
        found = None
    process.kill()
    process.join()
    ours.close()
    return damaged_bytes(data, own, others) if found is None else found


def _send_hdf5(pipe: Any, data: bytes, rng: Random) -> None:
    try:
        pipe.send(_changed_hdf5(data, rng))
    except Exception:
        pipe.send(None)


def _changed_hdf5(data: bytes, rng: Random) -> bytes:
    import h5py

    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        config = file.attrs.get("model_config")
        if config is not None and rng.random() < 0.8:
            text = config if isinstance(config, str) else config.decode()
            changed = damaged_json(text.encode(), rng, []).decode("utf-8", "replace")
            file.attrs["model_config"] = changed.replace("\0", "")
            return _closed(file, held)
        name = rng.choice(names)
        how = rng.randrange(5)
        if how == 0:
            del file[name]
        elif how == 1:
            del file[name]
            file[name] = rng.choice(
                (h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("x.h5", "/"))
            )
        elif how == 2:
            del file[name]
            shape = rng.choice(((), (0,), (3,), (2**40,), (4, 4), (2**20, 2**20)))
            file.create_dataset(name, shape, rng.choice(("f4", "i8", "S5", "f8")))
        elif how == 3:
            file[name].attrs[rng.choice(("a", "weight_names"))] = rng.choice(NUMBERS)
        else:
            file[name + "x"] = file[rng.choice(names)]
        return _closed(file, held)


def _closed(file: Any, held: io.BytesIO) -> bytes:
    file.close()
    return held.getvalue()
