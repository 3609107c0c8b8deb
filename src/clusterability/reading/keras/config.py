"""Checks on the configuration in a Keras file, before Keras builds anything from it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from clusterability.errors import InputError
from clusterability.shown import described, quoted

# Classes of Keras that run code from the file, and those that open files that it names.
_RUN_CODE = {"TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
_READ_FILES = {"StringLookup", "IntegerLookup", "TextVectorization"}

_NOT_ACTIVATIONS = ("get", "serialize", "deserialize")

_PLAIN_VALUES = {
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__tuple__",
}

# Modules to search for the classes of Keras 2 and .h5 files, which name no modules.
_MODULES = (
    "keras",
    "keras.layers",
    "keras.models",
    "keras.src.models.functional",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.dtype_policies",
)

_BASES = (
    "Operation",
    "initializers.Initializer",
    "regularizers.Regularizer",
    "constraints.Constraint",
    "dtype_policies.DTypePolicy",
    "dtype_policies.DTypePolicyMap",
    "random.SeedGenerator",
    "losses.Loss",
    "metrics.Metric",
    "optimizers.Optimizer",
    "optimizers.schedules.LearningRateSchedule",
)

_CUSTOM_REMEDY = (
    "its code is not in the file, and would not be run; build the model of Keras's own layers, or "
    "load it in Python and pass the model itself"
)


def check_config(config: Any) -> None:
    """Check that a configuration names classes of Keras alone, of kinds that only compute.

    Args:
        config: the parsed JSON of a model's configuration. Keras must have been imported.

    Raises:
        InputError: if it is no model's configuration, or names a Lambda layer, a custom class or
            function, a class that runs code or opens files, or a quantized layer.
    """
    keras = sys.modules["keras"]
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= config.keys():
        raise InputError(f"its configuration is {described(config)}, not that of a Keras model")
    # The configuration of compilation is never used.
    inner = {key: value for key, value in config.items() if key != "compile_config"}
    for described_object in _objects(inner):
        _check_object(described_object)
    kind = _found_class(config.get("module"), config["class_name"])
    if not (isinstance(kind, type) and issubclass(kind, keras.Model)):
        raise InputError(f"it holds a {quoted(config['class_name'])}, expected a whole Keras model")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping in a nested configuration; some of them describe objects."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield value
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list | tuple):
            waiting.extend(reversed(value))


def _check_object(value: Mapping[str, Any]) -> None:
    if "class_name" not in value:
        _check_not_quantized(value)
        return
    name, module = value["class_name"], value.get("module")
    where = _where(value)
    if not isinstance(name, str) or not isinstance(module, str | None):
        raise InputError(f"its configuration has a class {described(name)}, expected a name")
    if name in ("Lambda", "__lambda__"):
        raise InputError(
            f"{where} is a Lambda layer: Python code in the file, which is never executed; put a "
            "layer of Keras's own in its place and save the model again"
        )
    if name in _RUN_CODE:
        raise InputError(
            f"{where} is a {name}, which runs code of another library that the file names, and is "
            "not executed; build the model of Keras's own layers"
        )
    if name in _READ_FILES:
        raise InputError(
            f"{where} is a {name}, which looks text or indices up in a table; save the part of "
            "the model that follows it"
        )
    if name in _PLAIN_VALUES:
        return
    if name == "function":
        _check_function(value, where)
        return
    _check_class(value, name, module, where)


def _check_class(value: Mapping[str, Any], name: str, module: str | None, where: str) -> None:
    registered = value.get("registered_name")
    if registered not in (None, name):
        raise InputError(f"{where} is of the custom class {quoted(registered)}; {_CUSTOM_REMEDY}")
    keras = sys.modules["keras"]
    found = _found_class(module, name)
    if not (isinstance(found, type) and issubclass(found, tuple(_allowed_bases(keras)))):
        raise InputError(_unknown_class(name, module, where))
    if issubclass(found, keras.dtype_policies.QuantizedDTypePolicy):
        raise InputError(f"{where} is quantized ({name}); save the model before quantization")


def _unknown_class(name: str, module: str | None, where: str) -> str:
    version = sys.modules["keras"].__version__
    if module is None:
        return (
            f"{where} is of the class {quoted(name)}, which is no layer of Keras {version} (an .h5 "
            "file cannot hold operations on tensors, nor the code of custom layers); save the "
            "model as .keras"
        )
    full_name = quoted(f"{module}.{name}")
    if module.startswith("keras.") and module not in sys.modules:
        return (
            f"{where} is of the class {full_name}, which Keras {version} does not have; save the "
            "model as .h5 in the version of Keras that wrote it"
        )
    return f"{where} is of the class {full_name}, which is none of Keras's own; {_CUSTOM_REMEDY}"


def _check_function(value: Mapping[str, Any], where: str) -> None:
    """Refuse functions other than the activations of Keras."""
    name = value.get("config")
    known = vars(sys.modules["keras.activations"])
    if not isinstance(name, str) or name in _NOT_ACTIVATIONS or not callable(known.get(name)):
        raise InputError(
            f"{where} uses the function {quoted(name)}, which is none of Keras's activations; "
            f"{_CUSTOM_REMEDY}"
        )


def _check_not_quantized(value: Mapping[str, Any]) -> None:
    name, policy = value.get("name"), value.get("dtype")
    of_policy = isinstance(policy, str) and re.match(r"\w+_from_\w+$", policy)
    if of_policy or any(value.get(key) for key in ("quantization_mode", "quantization_config")):
        kind = policy if of_policy else value.get("quantization_mode") or "quantization_config"
        raise InputError(
            f"layer {quoted(name)} is quantized ({quoted(kind)}); save the model before "
            "quantization"
        )


def _found_class(module: str | None, name: str) -> Any:
    """Return the object of that name in Keras, or None; nothing is imported to find it."""
    if module is None:
        found = (vars(sys.modules[module_name]).get(name) for module_name in _MODULES)
        return next((kind for kind in found if isinstance(kind, type)), None)
    if module != "keras" and not module.startswith("keras."):
        return None
    return getattr(sys.modules.get(module), "__dict__", {}).get(name)


def _allowed_bases(keras: Any) -> Iterator[type]:
    for path in _BASES:
        base = keras
        for part in path.split("."):
            base = getattr(base, part)
        yield base


def _where(value: Mapping[str, Any]) -> str:
    config = value.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return f"layer {quoted(name)}" if isinstance(name, str) else "an object of its configuration"
