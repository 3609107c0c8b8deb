"""The state of a training after its last finished epoch, in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.checks import check_regular
from clusterability.files.writing import write_whole
from clusterability.shown import shown
from clusterability.training.progress import Progress

FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training needs to go on.

    Args:
        state: of the networks; see :meth:`Trainable.state`.
        progress: how far they are.
        digest: of the specs, the data and the kind of device.
    """

    state: dict[str, Tensor]
    progress: Progress
    digest: str


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint."""
    described = {**vars(checkpoint.progress), "digest": checkpoint.digest}
    text = json.dumps(described, default=dataclasses.asdict)
    content = safetensors.torch.save(checkpoint.state, metadata={"checkpoint": text})
    write_whole(folder / FILE, content)


def read_checkpoint(folder: Path, digest: str) -> Checkpoint | None:
    """Return the folder's checkpoint, or None if there is none.

    Raises:
        InputError: if it is damaged, or of another training, other data or another device.
    """
    path = folder / FILE
    if not path.exists():
        return None
    with explain_damaged_checkpoint(folder):
        check_regular(path)
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            described: dict[str, Any] = json.loads(file.metadata()["checkpoint"])
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        found = described.pop("digest")
        checkpoint = Checkpoint(state, Progress.from_dict(described), found)
    if found != digest:
        raise InputError(
            f"'{shown(str(path), 200)}' belongs to other data, another spec or another kind of "
            "device; name those that it was begun with, or remove it to train the run from its "
            "beginning"
        )
    return checkpoint


@contextmanager
def explain_damaged_checkpoint(folder: Path) -> Iterator[None]:
    """Turn any error from reading or using the folder's checkpoint into a sentence that names it.

    Raises:
        InputError: in place of any error but a lack of memory.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # What safetensors raises on damaged files is not documented, and a file may hold anything.
    except Exception as error:
        reason = str(error) if isinstance(error, InputError) else type(error).__name__
        raise InputError(
            f"'{shown(str(folder / FILE), 200)}' is damaged ({reason}); remove it to train the run "
            "from its beginning"
        ) from None
