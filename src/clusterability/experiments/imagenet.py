"""Networks that others have trained on ImageNet, from a folder of files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from torch import nn

from clusterability.errors import InputError
from clusterability.experiments.architectures import (
    InceptionV3,
    preactivation_resnet18,
    preactivation_resnet34,
    resnet18,
    resnet34,
    resnet50,
    vgg16,
    vgg19,
)
from clusterability.experiments.store import Store, Where, claimed
from clusterability.files.checks import check_readable
from clusterability.files.writing import write_whole
from clusterability.reading.weights import read_weights
from clusterability.settings import Settings
from clusterability.shown import show_path

N_SHUFFLES = 100

WHOLE_MODELS = (".keras", ".h5", ".hdf5", ".onnx")
"""Suffixes of files that hold the architecture too."""

WEIGHTS = (".pth", ".pt", ".safetensors")

_VARIANT = re.compile(r"[-_.]?(bn|gn|[cdst]|v1[bcds]|v2)(?![a-z0-9])")
"""What follows in the names of other networks: vgg16_bn, resnet50_gn, resnet50d, resnet50v2."""


@dataclass(frozen=True)
class Architecture:
    """One network of the table.

    Args:
        name: as the table has it.
        starts: beginnings of the names of its files, in small letters.
        builders: of modules whose state dict the file may hold.
        size: of the images.
    """

    name: str
    starts: tuple[str, ...]
    builders: tuple[Callable[[], nn.Module], ...]
    size: int = 224


ARCHITECTURES = (
    Architecture("VGG-16", ("vgg16", "vgg-16", "vgg_16"), (vgg16,)),
    Architecture("VGG-19", ("vgg19", "vgg-19", "vgg_19"), (vgg19,)),
    Architecture(
        "ResNet-18",
        ("resnet18", "resnet-18", "resnet18v2", "resnet18_v2"),
        (resnet18, preactivation_resnet18),
    ),
    Architecture(
        "ResNet-34",
        ("resnet34", "resnet-34", "resnet34v2", "resnet34_v2"),
        (resnet34, preactivation_resnet34),
    ),
    Architecture("ResNet-50", ("resnet50", "resnet-50"), (resnet50,)),
    Architecture(
        "Inception-V3", ("inception_v3", "inception-v3", "inceptionv3"), (InceptionV3,), 299
    ),
)
"""Those whose weights the paper took from others, as torchvision names their files."""


def find_file(architecture: Architecture, folder: Path) -> Path | None:
    """Return the first file of a network in a folder, by its name, or None; no folder is one."""
    found = [p for p in sorted(folder.iterdir()) if _is_of(architecture, p) and not p.is_dir()]
    return found[0] if found else None


def _is_of(architecture: Architecture, path: Path) -> bool:
    """Whether the name is that of a file of the network, and not of a variant of it."""
    name = path.name.lower()
    rests = [name.removeprefix(start) for start in architecture.starts if name.startswith(start)]
    known = path.suffix.lower() in (*WEIGHTS, *WHOLE_MODELS)
    return known and any(not _VARIANT.match(rest) for rest in rests)


def find_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of the table's networks that lie in a folder, by network.

    Raises:
        InputError: if there is no such folder, or it has none of them.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(
            f"there is no folder {show_path(path)} with the weights of networks trained on "
            f"ImageNet; {REMEDY}"
        )
    try:
        found = {a.name: file for a in ARCHITECTURES if (file := find_file(a, path)) is not None}
    except OSError as error:
        raise InputError(
            f"the folder {show_path(path)} cannot be read ({error.strerror or error}); name "
            "another one with --weights-dir"
        ) from None
    if not found:
        raise InputError(
            f"{show_path(path)} has no file of {', '.join(a.name for a in ARCHITECTURES)}; {REMEDY}"
        )
    return found


REMEDY = (
    "put files such as vgg16-397923af.pth, resnet18-f37072fd.pth, resnet50-0676ba61.pth and "
    "inception_v3_google-0cc3c7bd.pth there, which https://download.pytorch.org/models/ has, or "
    "whole models as .keras or .onnx, and name the folder with --weights-dir"
)


def read_network(architecture: Architecture, path: Path) -> Any:
    """Return the module with a file's weights, or the path of a file that holds a whole model.

    Raises:
        InputError: if the file cannot be read, or its weights are of another network.
    """
    if path.suffix.lower() in WHOLE_MODELS:
        return path
    state = read_weights(path)
    reasons = []
    for build in architecture.builders:
        module = build()
        try:
            module.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            reasons.append(str(error).strip().splitlines()[-1].strip())
        else:
            return module.eval()
    raise InputError(
        f"{show_path(path)} does not hold the weights of {architecture.name} under torchvision's "
        f"names ({reasons[0][:200]}); {REMEDY}"
    )


@dataclass(frozen=True)
class MeasureFile:
    """Measure a network from a file, which is told by its content.

    Args:
        architecture: name of the network.
        path: of the file.
        conventions: of the measurement.
    """

    architecture: str
    path: str
    conventions: str

    @cached_property
    def key(self) -> str:
        """Return the network's name and a hash of the file and the settings."""
        path = Path(self.path)
        check_readable(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(self.settings.digest.encode())
        return f"files/{self.architecture.lower()}-{digest.hexdigest()[:12]}"

    @property
    def settings(self) -> Settings:
        """Return how it is measured: isolated neurons are left out after the shuffles."""
        return Settings(n_shuffles=N_SHUFFLES, conventions=self.conventions, isolated="drop-after")

    def needs(self) -> None:
        """Return None: nothing comes before."""

    def is_done(self, store: Store) -> bool:
        """Return whether the measurement is there."""
        return store.file_result_path(self.key).exists()

    def mark_as_chosen(self, store: Store) -> None:
        """Make the measurement, if it is there, the newest of this network's: tables show that."""
        with suppress(OSError):
            os.utime(store.file_result_path(self.key))

    def do(self, store: Store, where: Where) -> None:
        """Measure it."""
        path = store.file_result_path(self.key)
        with claimed(path.parent, path.stem):
            if self.is_done(store):
                return
            from clusterability.measuring import measure

            (architecture,) = (a for a in ARCHITECTURES if a.name == self.architecture)
            result = measure(
                read_network(architecture, Path(self.path)),
                name=self.architecture,
                input_shape=(3, architecture.size, architecture.size),
                workers=1,
                device=where.device,
                **self.settings.choices(),
            )
            write_whole(path, (result.to_json() + "\n").encode())

    def to_dict(self) -> dict[str, Any]:
        """Return what the task is made of."""
        return {
            "kind": "file",
            "architecture": self.architecture,
            "path": self.path,
            "conventions": self.conventions,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the task of :meth:`to_dict`."""
        return cls(data["architecture"], data["path"], data["conventions"])


def file_tasks(names: Sequence[str], folder: str, conventions: str) -> list[MeasureFile]:
    """Return the tasks for the networks of these names whose files lie in a folder."""
    found = find_files(Path(folder).absolute())  # for processes that work elsewhere
    return [MeasureFile(n, str(found[n]), conventions) for n in names if n in found]
