"""Plain parameters by name, out of a checkpoint as people save them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import listed, quoted, shown

# A mapping may hold itself, so nesting is followed only so far.
MAX_DEPTH = 4

_NESTED = ("state_dict", "model_state_dict", "model", "net")
_AVERAGED = {"ema", "ema_model", "model_ema", "module_ema", "net_ema", "ema_net"}


def plain_parameters(
    state: Mapping[Any, Any], entry: str | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by plain name, and notes on what was done to get there.

    Nested entries are followed, prefixes of wrappers stripped, averaged copies left out, and
    pruning masks multiplied. What lies beside a nested state dict is left out.

    Args:
        state: as it was saved.
        entry: the entry that holds the network, where there are several; of nested ones the names
            with dots between them.

    Raises:
        InputError: if there is no tensor, there are several networks, ``entry`` is none of the
            entries, or a weight is stored as factors of another kind.
    """
    path = [] if entry is None else [entry]
    state, path = _unnested(state if entry is None else _entry(state, entry), path)
    notes = [f"weights taken from the entry {quoted('.'.join(path))}"] if path else []
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


def _entry(state: Mapping[Any, Any], entry: str) -> Mapping[Any, Any]:
    """The mapping that an entry's name leads to."""
    found: object = state
    names = [entry] if entry in state else entry.split(".")
    for name in names:
        if not isinstance(found, Mapping) or name not in found:
            held = list(found) if isinstance(found, Mapping) else []
            raise InputError(
                f"there is no entry {quoted(entry)}, expected one of {listed(held) or 'none'}"
            )
        found = found[name]
    if not isinstance(found, Mapping):
        raise InputError(
            f"the entry {quoted(entry)} is a {type(found).__name__}, expected a state dict: names "
            "with tensors or arrays"
        )
    return found


def _unnested(state: Mapping[Any, Any], path: list[str]) -> tuple[Mapping[Any, Any], list[str]]:
    """The innermost mapping that holds a network, and the names of the entries that lead to it."""
    while len(path) < MAX_DEPTH:
        known: dict[int, bool] = {}
        networks = [name for name, value in state.items() if _is_network(name, value, known)]
        candidates = [name for name in networks if name not in _AVERAGED] or networks
        if not candidates:
            break
        if len(candidates) > 1:
            raise InputError(
                f"there are several networks among {len(state)} entries ({listed(candidates)}); "
                f'name one: entry="{shown(candidates[0])}" in Python, --entry '
                f"{shown(candidates[0])} on the command line"
            )
        (name,) = candidates
        if name not in _NESTED and _holds_weights(state):
            raise InputError(
                f"there are weights, and the entry {quoted(name)} holds a network too; pass one of "
                f'the two by itself, or entry="{shown(name)}" in Python, --entry {shown(name)} on '
                "the command line"
            )
        path = [*path, name]
        state = state[name]
    return state, path


def _is_network(
    name: object, value: object, known: dict[int, bool], depth: int = MAX_DEPTH
) -> bool:
    """Whether an entry holds a network, itself or under a usual name.

    Args:
        name: of the entry.
        value: of the entry.
        known: the answer for each mapping that was asked about, by its id; a mapping that is met
            inside itself adds nothing.
        depth: of mappings inside each other that are looked into.
    """
    if not isinstance(name, str) or not isinstance(value, Mapping) or not depth:
        return False
    if id(value) not in known:
        known[id(value)] = False
        known[id(value)] = _holds_weights(value) or any(
            inner in value and _is_network(inner, value[inner], known, depth - 1)
            for inner in _NESTED
        )
    return known[id(value)]


def _holds_weights(state: Mapping[Any, Any]) -> bool:
    """Whether tensors of two axes or more have names there, as those of a network do."""
    return any(
        isinstance(name, str) and isinstance(value, Tensor | np.ndarray) and value.ndim > 1
        for name, value in state.items()
    )


def _as_tensor(value: object) -> Tensor | None:
    """A tensor that shares its memory where possible; None for what is none."""
    if isinstance(value, Tensor):
        if value.is_nested:
            raise InputError(
                "there is a nested tensor among the entries, expected dense ones; save each of its "
                "parts as a tensor"
            )
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
