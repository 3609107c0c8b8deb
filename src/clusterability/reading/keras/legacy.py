"""Repair of files of the first Keras 2 versions, whose Sequential models lack input layers."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def add_input_layers(config: Any) -> bool:
    """Add missing input layers to Sequentials, by the shape in the first layer; True if any.

    Without one, Keras 3 takes that shape, which includes the batch axis, for one without it.

    >>> dense = {"class_name": "Dense", "config": {"batch_input_shape": [None, 4]}}
    >>> model = {"class_name": "Sequential", "config": [dense]}
    >>> add_input_layers(model), [layer["class_name"] for layer in model["config"]]
    (True, ['InputLayer', 'Dense'])
    >>> add_input_layers(model)
    False
    """
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(layers, list):
        return False
    added = [add_input_layers(layer) for layer in layers]
    shape, dtype = _first_shape(layers)
    if config.get("class_name") == "Sequential" and shape is not None:
        new = {"batch_input_shape": shape, "dtype": dtype}
        layers.insert(0, {"class_name": "InputLayer", "config": new})
        return True
    return any(added)


def _first_shape(layers: list[Any]) -> tuple[Any, Any]:
    """Return the input's shape and type in the first layer; None if that is an input layer."""
    first = layers[0] if layers and isinstance(layers[0], dict) else {}
    config = first.get("config")
    if first.get("class_name") == "InputLayer" or not isinstance(config, dict):
        return None, None
    dtype = config.get("dtype")
    return config.get("batch_input_shape"), dtype if isinstance(dtype, str) else "float32"


@contextmanager
def readable_by_keras_3(path: Path, config: Any) -> Iterator[Path]:
    """Yield the file itself, or a copy with the missing input layers, removed afterwards."""
    import h5py

    if path.suffix == ".keras" or not add_input_layers(config):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copyfile(path, Path(folder) / "model.h5")
        with h5py.File(copy, "a") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
        yield copy
