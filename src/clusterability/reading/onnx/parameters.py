"""Constants of an ONNX graph as parameters and buffers of a module, by the same names."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.reading.onnx.graph import Array

_MAX_DEPTH = 20


def register(root: nn.Module, name: str, tensor: Tensor, *, buffer: bool = False) -> str:
    """Register a tensor under its dotted name, and return the name that it got.

    Modules for the parts of the name are made where missing. If torch does not allow the name,
    since it is an attribute of modules or has an empty part, it gets underscores.

    >>> root = nn.Module()
    >>> register(root, "layer1.0.conv1.weight", torch.ones(2))
    'layer1.0.conv1.weight'
    >>> register(root, "layer1.0.conv1", torch.ones(2)), register(root, "half", torch.ones(2))
    ('layer1.0.conv1_', 'half_')
    """
    parts = [part or "_" for part in name.split(".")]
    if len(parts) > _MAX_DEPTH:
        parts = ["_".join(parts)]
    holder, taken = root, []
    for part in parts[:-1]:
        free = part
        while hasattr(holder, free) and free not in holder._modules:
            free += "_"
        if free not in holder._modules:
            holder.add_module(free, nn.Module())
        holder = holder.get_submodule(free)
        taken.append(free)
    last = free_name(holder, parts[-1])
    if buffer or not tensor.is_floating_point():
        holder.register_buffer(last, tensor)
    else:
        holder.register_parameter(last, nn.Parameter(tensor, requires_grad=False))
    return ".".join([*taken, last])


def free_name(module: nn.Module, name: str) -> str:
    """Return the name, with underscores appended while the module has such an attribute."""
    while hasattr(module, name):
        name += "_"
    return name


def as_tensor(array: Array, float_type: torch.dtype) -> Tensor:
    """Return an array as a tensor, floats as ``float_type``; memory is shared where possible."""
    native = np.require(array, array.dtype.newbyteorder("="), requirements=["C", "A"])
    with warnings.catch_warnings():
        # Arrays may be read-only, as the tensors are never written to.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensor = torch.from_numpy(native)
    return tensor.to(float_type) if tensor.is_floating_point() else tensor
