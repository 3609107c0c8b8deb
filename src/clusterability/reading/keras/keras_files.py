"""Reader of Keras models from ``.keras`` and ``.h5`` files, which are data and never run."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from clusterability.errors import InputError
from clusterability.files.checks import check_readable, check_weights_follow, explain_damage
from clusterability.files.memory import check_fits
from clusterability.reading.keras.config import check_config
from clusterability.reading.keras.hdf5 import HDF5_MAGIC, check_hdf5, model_config
from clusterability.reading.keras.legacy import readable_by_keras_3
from clusterability.reading.keras.models import import_keras, keras_model
from clusterability.reading.loaded import InputShape, Loaded
from clusterability.shown import quoted, show_path, shown, without_address

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {"metadata.json", _CONFIG, _WEIGHTS}
_MAX_CONFIG = 1 << 26
# Deflate packs at most 1,032 bytes into one.
_MAX_EXPANSION = 1032


def read_keras(path: Path, input_shape: InputShape | None = None) -> Loaded:
    """Return the model in a file of Keras 3, or of Keras 2 in its ``.h5`` format.

    No code in the file runs: every class that it names must be one of Keras's own that only
    computes. Sizes are checked before memory is taken: first those that the file claims, then those
    of the model, built without memory.

    Args:
        path: a ``.keras``, ``.h5`` or ``.hdf5`` file of a whole model.
        input_shape: see :func:`clusterability.reading.keras.models.keras_model`.

    Raises:
        InputError: if Keras is missing or runs on another backend; if the file is unreadable,
            truncated, too large for memory or without a model; if it leads to other files or names
            classes that run code; or if ``keras_model`` refuses the model.
    """
    check_weights_follow(path, head := check_readable(path))
    keras = import_keras()
    with explain_damage(path):
        config, n_numbers = _read_h5(path) if _is_hdf5(path, head) else _read_archive(path)
    try:
        check_config(config)
    except InputError as error:
        raise InputError(f"{show_path(path)} is not read: {error}") from None
    with _explain_failure(keras, path), readable_by_keras_3(path, config) as source:
        _check_size(keras, path, source, n_numbers)
        with keras.device("cpu"):
            model = _load(keras, source)
    try:
        return keras_model(model, input_shape)
    except InputError as error:
        raise InputError(f"{show_path(path)}: {error}") from None


def _is_hdf5(path: Path, head: bytes) -> bool:
    """Whether the content is HDF5 and not a zip archive; the suffix must agree."""
    suffixes = {HDF5_MAGIC: (".h5", ".hdf5"), b"PK\x03\x04": (".keras",)}
    for magic, names in suffixes.items():
        if head.startswith(magic):
            if path.suffix not in names:
                raise InputError(
                    f"{show_path(path)} has the suffix {quoted(path.suffix)}, but its content is "
                    f"that of a {names[0]} file; rename it"
                )
            return magic == HDF5_MAGIC
    raise InputError(
        f"{show_path(path)} is neither a zip archive (.keras) nor HDF5 (.h5): it is truncated or "
        "of another format; download or save it again"
    )


def _read_h5(path: Path) -> tuple[Any, int]:
    """Return the configuration and the count of numbers in a whole-model HDF5 file."""
    n_numbers = check_hdf5(path, path)
    text = model_config(path)
    if text is None:
        raise InputError(
            f"{show_path(path)} holds weights alone, which do not say how the layers are joined; "
            "save the whole model with model.save('model.keras')"
        )
    return json.loads(text), n_numbers


def _read_archive(path: Path) -> tuple[Any, int]:
    """Return the configuration and the count of numbers in a ``.keras`` archive."""
    with zipfile.ZipFile(path) as archive:
        sizes = _checked_members(path, archive)
        check_fits(show_path(path), sum(sizes.values()))
        if sizes[_CONFIG] > _MAX_CONFIG:
            raise InputError(
                f"{_CONFIG} in {show_path(path)} has {sizes[_CONFIG]} bytes, more than the "
                f"{_MAX_CONFIG} that a model's configuration may take; save the model again"
            )
        config = json.loads(archive.read(_CONFIG))
        weights = archive.read(_WEIGHTS)
    return config, check_hdf5(path, io.BytesIO(weights))


def _checked_members(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if any(name.startswith("assets/") for name in names):
        raise InputError(
            f"{show_path(path)} has assets (tables of a text or look-up layer), which are not "
            "read; save the part of the model that follows that layer"
        )
    strange = [name for name in names if name not in _MEMBERS or names.count(name) > 1]
    missing = [name for name in (_CONFIG, _WEIGHTS) if name not in names]
    if strange or missing:
        fault = f"holds {quoted(strange[0])}" if strange else f"has no {missing[0]}"
        raise InputError(
            f"{show_path(path)} is no archive as Keras 3 writes it: it {fault}; save the model "
            "again with model.save('model.keras')"
        )
    for member in members:
        if member.file_size > _MAX_EXPANSION * max(member.compress_size, 1):
            raise InputError(
                f"{quoted(member.filename)} in {show_path(path)} claims {member.file_size} bytes, "
                f"but is packed into {member.compress_size}; download or save it again"
            )
    return {member.filename: member.file_size for member in members}


def _check_size(keras: ModuleType, path: Path, source: Path, n_numbers: int) -> None:
    """Build the model without memory, and refuse one with more weights than the file has."""
    with keras.device("meta"):
        model = _load(keras, source)
    values = [variable.value for variable in model.variables]
    n_wanted = sum(value.numel() for value in values if value.is_floating_point())
    if n_wanted > n_numbers:
        raise InputError(
            f"{show_path(path)} describes a model of {n_wanted} weights, but holds {n_numbers}; "
            "download or save it again"
        )
    check_fits(show_path(path), sum(value.numel() * value.element_size() for value in values))


def _load(keras: ModuleType, path: Path) -> Any:
    with warnings.catch_warnings():
        # Keras gives advice on writing such models, which is of no use to a reader of the file.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\b")
        return keras.saving.load_model(path.absolute(), compile=False, safe_mode=True)


@contextmanager
def _explain_failure(keras: ModuleType, path: Path) -> Iterator[None]:
    """Turn any exception of Keras into an InputError with its reason."""
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{show_path(path)} takes more memory than there is") from None
    # Keras raises exceptions of every type on files that it cannot read.
    except Exception as error:
        # Keras puts the cause after the whole configuration of the failing object.
        cause = str(error).rpartition("Exception encountered: ")[2].strip()
        first_line = (cause or type(error).__name__).splitlines()[0]
        reason = shown(without_address(first_line), 160)
        raise InputError(
            f"Keras {keras.__version__} cannot rebuild the model in {show_path(path)} "
            f"({reason.rstrip('.')}); save it again with model.save('model.keras') in Keras 3"
        ) from None
