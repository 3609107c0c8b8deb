"""Repair of files of Keras 2, whose layers lack, or have, what Keras 3 expects otherwise."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WITHOUT_GROUPS = {
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
}
"""Layers for which Keras 2 writes a number of groups, always 1, that Keras 3 does not take."""


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


def drop_groups(config: Any) -> bool:
    """Take ``"groups": 1`` out of layers that have no groups in Keras 3; True if there was one.

    >>> drop_groups({"class_name": "DepthwiseConv2D", "config": {"groups": 1}})
    True
    """
    inner = config.get("config") if isinstance(config, dict) else None
    if not isinstance(inner, dict | list):
        return False
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    wrapped = inner.get("layer") if isinstance(inner, dict) else None
    parts = [*(layers if isinstance(layers, list) else ()), wrapped]
    dropped = [drop_groups(part) for part in parts]
    if config.get("class_name") in _WITHOUT_GROUPS and isinstance(inner, dict):
        dropped.append(inner.get("groups") == 1 and inner.pop("groups") == 1)
    return any(dropped)


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
    """Yield the file itself, or a copy with a repaired configuration, removed afterwards."""
    import h5py

    if path.suffix == ".keras":
        yield path
        return
    repaired = [add_input_layers(config), drop_groups(config)]
    if not any(repaired):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copyfile(path, Path(folder) / "model.h5")
        with h5py.File(copy, "a") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
        yield copy
