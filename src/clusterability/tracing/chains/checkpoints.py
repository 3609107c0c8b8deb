"""Plain parameters by name, out of a checkpoint as people save them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import listed, quoted

# A mapping may hold itself, so nesting is followed only so far.
MAX_DEPTH = 4

_NESTED = ("state_dict", "model_state_dict", "model", "net")
_AVERAGED = {"ema", "ema_model", "model_ema", "module_ema", "net_ema", "ema_net"}


def plain_parameters(state: Mapping[Any, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by plain name, and notes on what was done to get there.

    Nested entries are followed, prefixes of wrappers stripped, averaged copies left out, and
    pruning masks multiplied.

    Raises:
        InputError: if there is no tensor, or a weight is stored as factors of another kind.
    """
    state, notes = _unnested(state)
    tensors = {str(name): _as_tensor(value) for name, value in state.items()}
    parameters = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if not parameters:
        raise InputError(
            f"there are no tensors among {len(state)} entries ({listed(list(state)) or 'none'}); "
            "expected a state dict: names with tensors or arrays"
        )
    averaged = [name for name in parameters if _AVERAGED.intersection(name.split("."))]
    if averaged and len(averaged) < len(parameters):
        notes.append(f"averaged copies of weights left out: {listed(averaged, limit=4)}")
        for name in averaged:
            del parameters[name]
    stripped = {stripped_name(name): tensor for name, tensor in parameters.items()}
    if len(stripped) == len(parameters):
        parameters = stripped
    _apply_masks(parameters)
    _check_factors(parameters)
    return parameters, notes


def stripped_name(name: str) -> str:
    """A name without what DataParallel and torch.compile add, once or repeatedly.

    >>> stripped_name("module._orig_mod.fc1.weight")
    'fc1.weight'
    """
    while name.startswith(("module.", "_orig_mod.")):
        name = name.partition(".")[2]
    return name.replace("._orig_mod.", ".")


def _unnested(state: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], list[str]]:
    """The innermost mapping that holds tensors: under a usual name, or the only one."""
    path: list[str] = []
    while not _holds_arrays(state) and len(path) < MAX_DEPTH:
        inner = {name: value for name, value in state.items() if isinstance(value, Mapping)}
        names = [name for name in _NESTED if name in inner]
        names = names or [name for name, value in inner.items() if _holds_arrays(value)]
        if not names or (names[0] not in _NESTED and len(names) > 1):
            break
        path.append(str(names[0]))
        state = inner[names[0]]
    return state, [f"weights taken from the entry {quoted('.'.join(path))}"] if path else []


def _holds_arrays(state: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor | np.ndarray) for value in state.values())


def _as_tensor(value: object) -> Tensor | None:
    """A tensor that shares its memory where possible; None for what is none."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.name == "bfloat16":
        value = value.astype(np.float32)
    try:
        # torch refuses foreign byte orders and negative strides, and warns of read-only arrays.
        native = value.dtype.newbyteorder("=")
        return torch.from_numpy(np.require(value, native, requirements=["C", "W"]))
    except TypeError:
        return None


def _apply_masks(parameters: dict[str, Tensor]) -> None:
    """Multiply the pairs that torch.nn.utils.prune leaves: weight_orig and weight_mask."""
    for name in [name for name in parameters if name.endswith("_orig")]:
        plain = name.removesuffix("_orig")
        original, mask = parameters[name], parameters.get(f"{plain}_mask")
        if mask is not None and plain not in parameters and mask.shape == original.shape:
            del parameters[name], parameters[f"{plain}_mask"]
            parameters[plain] = original * mask


def _check_factors(parameters: Mapping[str, Tensor]) -> None:
    """Refuse weights of which only the factors are stored, which are not what acts."""
    for name in parameters:
        spectral = name.endswith("weight_orig")
        normalized = name.endswith("weight_g") and f"{name.removesuffix('g')}v" in parameters
        if spectral or normalized or ".parametrizations." in f".{name}":
            raise InputError(
                f"{quoted(name)} is a part of a parametrized weight, not the weight itself; pass "
                "the model, or remove the parametrization before saving the state dict"
            )
