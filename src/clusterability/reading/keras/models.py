"""Keras 3 models in memory, on the torch backend."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.reading.keras.module import KerasNetwork, inner_layers
from clusterability.reading.loaded import (
    EACH_SHAPE,
    InputShape,
    Loaded,
    Shapes,
    check_input_size,
    each_shape,
    shapes_given,
)
from clusterability.shown import described, listed, quoted

_TORCH_DTYPES = {
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bool": torch.bool,
}


def is_keras_model(obj: object) -> bool:
    """Whether ``obj`` is a ``keras.Model``; Keras is not imported to find out.

    >>> is_keras_model(torch.nn.Linear(2, 2))
    False
    """
    model = getattr(sys.modules.get("keras"), "Model", None)
    return isinstance(model, type) and isinstance(obj, model)


def import_keras() -> ModuleType:
    """Return Keras 3 on its torch backend, which is set if Keras was not imported before.

    Raises:
        InputError: if Keras is missing, too old, or already runs on another backend.
    """
    if sys.modules.get("keras") is None:
        _import_on_torch()
    keras = sys.modules["keras"]
    version = str(getattr(keras, "__version__", "unknown"))
    if version.partition(".")[0] in ("unknown", "0", "1", "2"):
        raise InputError(
            f"this process uses Keras {version}, expected 3 or newer; "
            "pip install 'clusterability[keras]'"
        )
    backend = keras.config.backend()
    if backend != "torch":
        raise InputError(
            f"Keras runs on its backend {quoted(backend)} in this process, expected 'torch'; save "
            "the model as .keras and measure that file in a fresh process, or set the environment "
            "variable KERAS_BACKEND=torch before Keras is imported"
        )
    return keras


def _import_on_torch() -> None:
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        importlib.import_module("keras")
        importlib.import_module("h5py")
    except ImportError as error:
        raise InputError(
            f"Keras models need the packages keras and h5py ({error}); "
            "pip install 'clusterability[keras]'"
        ) from None
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before


def keras_model(model: Any, input_shape: InputShape | None = None) -> Loaded:
    """Return a Keras model as a module to trace, which shares its weights, with example inputs.

    Args:
        model: a built ``keras.Model`` on the torch backend. It is not changed.
        input_shape: the shape of its one input without the batch axis, where the model leaves
            axes open, or a sequence with the shape of each; the channels of an image come where
            the model declares them.

    Raises:
        InputError: if the model has another backend, no weights yet or quantized layers, or if
            its inputs' shapes are open or disagree with ``input_shape``.
    """
    keras = import_keras()
    _check_not_quantized(model)
    _check_not_recurrent(model, keras)
    if not model.built or not model.variables:
        raise InputError(
            f"the Keras model {quoted(model.name)} has no weights (it was never built, or has no "
            "layer with weights); give it an Input layer, or call it on data once, and train it"
        )
    network = KerasNetwork(model)
    first = next((value for value in network.state_dict().values()), None)
    device = torch.device("cpu") if first is None else first.device
    return Loaded(network, _example_inputs(model, input_shape, device), ())


def _check_not_quantized(model: Any) -> None:
    for layer in inner_layers(model):
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InputError(
                f"layer {quoted(layer.name)} is quantized ({quoted(mode)}), and its integers are "
                "not what acts; pass the model before quantization"
            )


def _check_not_recurrent(model: Any, keras: ModuleType) -> None:
    recurrent = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.ConvLSTM2D)
    for layer in inner_layers(model):
        if isinstance(layer, recurrent):
            raise InputError(
                f"layer {quoted(layer.name)} is recurrent ({type(layer).__name__}), and recurrent "
                "networks have no feed-forward graph; measure the feed-forward part"
            )


def _example_inputs(
    model: Any, input_shape: InputShape | None, device: torch.device
) -> tuple[Tensor, ...]:
    """Return zeros for each input, with a batch of 1 unless the model fixes another size."""
    given = None if input_shape is None else _checked_shapes(input_shape)
    declared = list(getattr(model, "inputs", None) or [])
    if not declared:
        if given is None:
            raise InputError(
                f"the Keras model {quoted(model.name)} does not say the shape of its input; give "
                "it without the batch axis: --input-shape 224,224,3 or input_shape=(224, 224, 3)"
            )
        return tuple(_zeros((1, *shape), model.compute_dtype, device) for shape in given)
    if given is not None and len(given) != len(declared):
        names = listed([quoted(tensor.name) for tensor in declared])
        n_inputs = f"{len(declared)} input{'s' * (len(declared) != 1)}"
        raise InputError(
            f"the Keras model {quoted(model.name)} has {n_inputs}, but {shapes_given(given)}; "
            f"{EACH_SHAPE}; its own: {names}"
        )
    shapes = [None] * len(declared) if given is None else given
    return tuple(
        _zeros(_input_shape(tensor, shape), tensor.dtype, device)
        for tensor, shape in zip(declared, shapes, strict=True)
    )


def _checked_shapes(input_shape: InputShape) -> Shapes:
    shapes = each_shape(input_shape)
    for size in (size for shape in shapes for size in shape):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(
                f"input_shape is {described(input_shape)}, expected positive whole numbers"
            )
    return shapes


def _input_shape(tensor: Any, given: tuple[int, ...] | None) -> tuple[int, ...]:
    batch, *axes = tensor.shape
    if given is not None:
        fits = len(axes) == len(given) and all(
            size in (None, wanted) for size, wanted in zip(axes, given, strict=True)
        )
        if not fits:
            raise InputError(
                f"input_shape is ({listed(given)}), but the model's input {quoted(tensor.name)} is "
                f"({listed(axes)}) without the batch axis; give a shape that agrees"
            )
        axes = list(given)
    if None in axes:
        raise InputError(
            f"the model's input {quoted(tensor.name)} has open axes: ({listed(axes)}) without the "
            f"batch axis; give its shape: --input-shape {_filled(axes, ',')} or "
            f"input_shape=({_filled(axes, ', ')})"
        )
    return (batch or 1, *axes)


def _filled(axes: Sequence[int | None], separator: str) -> str:
    return separator.join(str(size or 224) for size in axes)


def _zeros(shape: tuple[int, ...], dtype: str, device: torch.device) -> Tensor:
    check_input_size("an example input", shape)
    integers = torch.int64 if "int" in dtype else torch.float32
    return torch.zeros(shape, dtype=_TORCH_DTYPES.get(dtype, integers), device=device)
