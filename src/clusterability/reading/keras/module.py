"""A module that PyTorch can trace for a Keras model, with its parameters and layers by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn


class KerasNetwork(nn.Module):
    """A built Keras model on the torch backend, as it acts in inference.

    Keras bypasses ``torch.nn.Module`` when it reads variables and calls layers, so that a trace of
    the model itself would find constants without names. Here each variable is a parameter
    ("conv1.kernel" for Keras's "conv1/kernel") that shares Keras's tensor, and each layer runs as
    the submodule of its name. The model itself is not changed.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        layers: list[tuple[Any, nn.Module]] = []
        _add_layers(self, model, layers)
        variables = list(_add_variables(self, model, layers))
        names = {id(module): name for name, module in self.named_modules()}
        # By name, so that a copy of this module finds its own parts.
        steps = [(layer, names[id(step)]) for layer, step in layers]
        paths = [(v, f"{names[id(holder)]}.{name}".lstrip(".")) for v, holder, name in variables]
        self._keras = _Shared((model, steps, paths))
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        """Return the model's outputs in inference, for inputs in the order of ``model.inputs``."""
        keras, (model, steps, paths) = sys.modules["keras"], self._keras.value
        values = [(variable, attrgetter(path)(self)) for variable, path in paths]
        device = next((value.device for _, value in values), torch.device("cpu"))
        arguments: Any = inputs[0] if len(inputs) == 1 else list(inputs)
        if not isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
            arguments = keras.tree.pack_sequence_as(model.input, list(inputs))
        scope = _layers_as_modules([(layer, self.get_submodule(name)) for layer, name in steps])
        with scope, keras.device(str(device)), keras.StatelessScope(values):
            return model(arguments, training=False)


class _Shared:
    """Holds an object of Keras, hidden from torch and shared by copies of the module."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


class LayerStep(nn.Module):
    """Holds a layer's parameters and runs it, so that a trace records its operations' layer."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self._call = _Shared(call)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Return the output of the layer's own ``call``."""
        return self._call.value(*arguments, **options)


def inner_layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model and of the models in it, each before those inside it."""
    keras = sys.modules["keras"]
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from inner_layers(layer)


def _add_layers(parent: nn.Module, model: Any, layers: list[tuple[Any, nn.Module]]) -> None:
    keras = sys.modules["keras"]
    for layer in model.layers:
        if any(layer is known for known, _ in layers):
            continue  # shared, and named after its first place
        kind = type(layer)
        step_type = type(kind.__name__, (LayerStep,), {"__module__": kind.__module__})
        step = step_type(layer.call)
        parent.add_module(_free_name(parent, layer.name), step)
        layers.append((layer, step))
        if isinstance(layer, keras.Model):
            _add_layers(step, layer, layers)


def _add_variables(
    network: nn.Module, model: Any, layers: Sequence[tuple[Any, nn.Module]]
) -> Iterator[tuple[Any, nn.Module, str]]:
    """Register each float variable at the innermost layer that has it.

    Yields (variable, module that holds it, name). Integer variables, such as the states of seeds,
    are no weights.
    """
    seen: set[int] = set()
    for layer, step in [*reversed(layers), (model, network)]:
        for variable in layer.variables:
            value = variable.value
            if id(variable) in seen or not value.is_floating_point():
                continue
            seen.add(id(variable))
            *parents, last = _path_inside(variable.path.split("/"), layer.name)
            holder = _descend(step, parents)
            name = _free_name(holder, last)
            if isinstance(value, nn.Parameter):
                holder.register_parameter(name, value)
            else:
                holder.register_buffer(name, value)
            yield variable, holder, name


def _path_inside(path: list[str], layer_name: str) -> list[str]:
    """Return a variable's path after its layer's name, at least the last component."""
    places = [i for i, component in enumerate(path[:-1]) if component == layer_name]
    return path[places[-1] + 1 :] if places else path[-1:]


def _descend(module: nn.Module, names: Sequence[str]) -> nn.Module:
    for name in names:
        child = dict(module.named_children()).get(name)
        if child is None:
            child = nn.Module()
            module.add_module(_free_name(module, name), child)
        module = child
    return module


def _free_name(module: nn.Module, name: str) -> str:
    """Return the name without dots, and with underscores appended while the module has it."""
    name = name.replace(".", "_") or "_"
    while hasattr(module, name):
        name += "_"
    return name


@contextmanager
def _layers_as_modules(layers: Sequence[tuple[Any, nn.Module]]) -> Iterator[None]:
    """Let Keras call each layer through its module, for as long as the context lasts."""
    before = [layer.__dict__.get("call") for layer, _ in layers]
    try:
        for layer, step in layers:
            # Bypass Keras's __setattr__, which would track the module as a part of the layer.
            layer.__dict__["call"] = step
        yield
    finally:
        for (layer, _), call in zip(layers, before, strict=True):
            layer.__dict__.pop("call", None)
            if call is not None:
                layer.__dict__["call"] = call
