"""Weights from a ``.safetensors`` file, or from several with an index."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.checks import (
    check_readable,
    check_weights_follow,
    explain_damage,
    is_utf8,
)
from clusterability.shown import listed, quoted, show_path


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, mapped from it: none is read before it is used.

    The library itself refuses a header that does not fit the size of the file.

    Raises:
        InputError: if the path is not UTF-8, which the library needs.
    """
    from safetensors import safe_open

    if not is_utf8(path):
        raise InputError(
            f"{show_path(path)} is a path that is not UTF-8, which the safetensors library does "
            "not open; rename the file or its folder"
        )
    with safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_index(path: Path) -> dict[str, Tensor]:
    """Return the tensors of all shards that an index names.

    Raises:
        InputError: if the file is no JSON index, or a shard is missing, damaged or elsewhere.
    """
    shards = _shards(path)
    for shard in shards:
        _check_shard(path, shard)
    tensors: dict[str, Tensor] = {}
    for shard, names in shards.items():
        held = _read_shard(path.parent / shard)
        missing = [name for name in names if name not in held]
        if missing:
            raise InputError(
                f"{show_path(path.parent / shard)} lacks {listed(missing)}, which the index "
                f"{quoted(path.name)} names; download both again"
            )
        tensors.update((name, held[name]) for name in names)
    return tensors


def _shards(path: Path) -> dict[str, list[str]]:
    """Return the names of the tensors in each shard."""
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise InputError(f"{show_path(path)} is no JSON; download it again") from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(
            f"{show_path(path)} has no weight_map, which names each tensor's shard; "
            "download it again"
        )
    shards: dict[str, list[str]] = {}
    for name, shard in weight_map.items():
        shards.setdefault(str(shard), []).append(name)
    return shards


def _check_shard(path: Path, shard: str) -> None:
    # Backslashes and colons are separators on other systems: one rule for all.
    if any(c in shard for c in "/\\:\0") or not shard.endswith(".safetensors"):
        raise InputError(
            f"{show_path(path)} names the shard {quoted(shard)}, expected the plain name of a "
            ".safetensors file in the same folder"
        )
    try:
        there = stat.S_ISREG((path.parent / shard).stat().st_mode)
    except (FileNotFoundError, ValueError):
        there = False
    except OSError as error:
        raise InputError(
            f"{show_path(path)} names the shard {quoted(shard)}, which cannot be opened "
            f"({error.strerror}); correct the name in the index, or download it again"
        ) from None
    if not there:
        raise InputError(
            f"{show_path(path)} names the shard {quoted(shard)}, which is not there; put all "
            "shards into the same folder"
        )


def _read_shard(path: Path) -> dict[str, Tensor]:
    check_weights_follow(path, check_readable(path))
    with explain_damage(path):
        return read_safetensors(path)
