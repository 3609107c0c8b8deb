"""The wiring of a state dict: names and shapes alone, taken as a chain."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import described, listed, quoted, shown
from clusterability.tracing.chains.attention import check_feed_forward
from clusterability.tracing.chains.batchnorms import place_batch_norms
from clusterability.tracing.chains.chain import (
    Operation,
    chain_wiring,
    check_include,
)
from clusterability.tracing.chains.checkpoints import plain_parameters, stripped_name
from clusterability.tracing.chains.ordering import (
    NamedShape,
    as_operations,
    chain_operations,
    order_of,
)
from clusterability.tracing.naming import natural_key, split_name
from clusterability.wiring.parameters import find_parameter
from clusterability.wiring.scales import BatchNorm
from clusterability.wiring.wiring import Wiring

DEFAULT_EPS = 1e-5

_ROUNDING = 1e-6
"""Largest difference, as a share of the largest number, between halves of a symmetric matrix."""

_PASS_GRAPH = "pass it as a SciPy sparse matrix, or a file of scipy.sparse.save_npz"

_STATISTIC = "running_var"
_WEIGHT_NAMES = {"weight", "kernel", "qweight", "weight_packed"}
# What joins nothing although it has 2 axes: a bias of shape (1, n), an image's mean (1, 3, 1, 1).
_VECTOR = re.compile(r"(?:mean|std|(?:.*_)?(?:b|bias|biases))_?[0-9]*")
# A bias for each position or neuron; it joins nothing whatever its shape.
_BIAS = re.compile(r"(?:.*_)?bias(?:es)?(?:_.*)?", re.IGNORECASE)


def state_dict_wiring(
    state: Mapping[Any, Any],
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    entry: str | None = None,
) -> tuple[Wiring, dict[str, Tensor], tuple[str, ...]]:
    """The wiring of a state dict, the parameters that it names, and notes on the choices made.

    Args:
        state: tensors or NumPy arrays by name, as PyTorch or others save them.
        include: as :func:`chain_wiring` takes it.
        order: names of the weights that form the chain; by default all, in natural order.
        entry: the entry that holds the network, where there are several.

    Raises:
        InputError: if the weights do not chain, a batch norm has no place, or ``order`` is no
            sequence of names.
    """
    check_include(include)
    order = checked_order(order)
    parameters, notes = plain_parameters(state, entry)
    candidates = _in_natural_order(parameters)
    weights = _floating(candidates, parameters)
    chosen = weights if order is None else _named(candidates, order)
    operations, chain_notes = chain_operations(chosen, given=order is not None)
    if order is None:
        check_feed_forward([weight.name for weight in weights])
        _check_no_adjacency(weights, parameters, [operation.name for operation in operations])
    others = [weight for weight in weights if weight not in chosen]
    everything = [*operations, *as_operations(others, operations[0].layout)]
    operations, norm_notes = _with_batch_norms(operations, everything, parameters)
    wiring = chain_wiring(operations, include)
    notes = [*chain_notes, *notes, *norm_notes, *wiring.notes]
    return wiring, {name: parameters[name] for name in wiring.parameter_names}, tuple(notes)


def _check_no_adjacency(
    weights: Sequence[NamedShape], parameters: Mapping[str, Tensor], chain: Sequence[str]
) -> None:
    """Refuse a matrix that may be a graph's adjacency, not a layer from n neurons to n others."""
    for weight in weights:
        if len(weight.shape) != 2 or weight.shape[0] != weight.shape[1]:
            continue
        matrix = find_parameter(parameters, weight.name).detach()
        what = _kind_of_adjacency(matrix, alone=len(weights) == 1)
        if what:
            n = len(matrix)
            raise InputError(
                f"{quoted(weight.name)} is {what} of {n} x {n}, which may be the adjacency of a "
                f"graph: {_PASS_GRAPH}; if it is a layer, give the order of the layers: "
                f"{order_of(chain)}"
            )


def _kind_of_adjacency(matrix: Tensor, alone: bool) -> str:
    """Name the form in which a matrix may hold a graph; empty if it does not.

    Beside other weights one that is the same everywhere off its diagonal, as many are in the
    beginning, is no graph. One that holds each edge once, as no trained layer does, is one alone.
    """
    n = len(matrix)
    rest = matrix[~torch.eye(n, dtype=torch.bool, device=matrix.device)]
    if n < 2 or not (alone or bool(rest.min() < rest.max())):
        return ""
    difference = (matrix - matrix.T).abs().max()
    if bool(difference <= _ROUNDING * matrix.abs().max()):
        return "one symmetric matrix" if alone else "a symmetric matrix"
    is_half = not bool(matrix.tril(-1).any()) or not bool(matrix.triu(1).any())
    return "one triangular matrix" if alone and is_half else ""


def checked_order(order: object) -> list[str] | None:
    """The names that ``order`` gives, in a list; arrays of names are taken too.

    Raises:
        InputError: if it is one string, empty, no sequence, or holds something else than names.
    """
    if order is None:
        return None
    names = order.tolist() if isinstance(order, np.ndarray) else order
    if isinstance(names, str):
        raise InputError(f'order is the string {quoted(names)}, expected a list: order=["fc1"]')
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f'order is {described(order)}, expected a list of names: order=["fc1", "fc2"]'
        )
    if not names:
        raise InputError("order names no weight; leave it out, or name the weights in order")
    return list(names)


def _in_natural_order(parameters: Mapping[str, Tensor]) -> list[NamedShape]:
    """Everything of 2 axes or more."""
    weights = [
        NamedShape(name, tuple(tensor.shape))
        for name, tensor in parameters.items()
        if tensor.ndim > 1
    ]
    return sorted(weights, key=lambda weight: natural_key(weight.label))


def _floating(
    candidates: Sequence[NamedShape], parameters: Mapping[str, Tensor]
) -> list[NamedShape]:
    """The candidates that are weights, by their type and name."""
    weights = []
    for weight in candidates:
        last = split_name(weight.name)[1]
        if _BIAS.fullmatch(last):
            continue
        dtype = parameters[weight.name].dtype
        is_vector = sum(size > 1 for size in weight.shape) <= 1
        if not all(weight.shape):
            if last in _WEIGHT_NAMES:
                raise InputError(
                    f"{quoted(weight.name)} has shape {weight.shape}, expected no empty axis; pass "
                    "a network with neurons, or leave the weight out"
                )
            continue
        if dtype.is_floating_point and not (is_vector and _VECTOR.fullmatch(last)):
            weights.append(weight)
        elif last in _WEIGHT_NAMES:
            raise InputError(
                f"{quoted(weight.name)} holds {dtype}, expected floating point; convert quantized "
                "or complex weights first"
            )
    if not weights:
        square = any(len(w.shape) == 2 and w.shape[0] == w.shape[1] > 1 for w in candidates)
        raise InputError(
            f"none of the {len(parameters)} tensors ({listed(list(parameters))}) is a weight: "
            "expected floating point and 2 axes or more"
            + (f"; for the adjacency of a graph, {_PASS_GRAPH}" if square else "")
        )
    return weights


def _named(candidates: Sequence[NamedShape], order: Sequence[str]) -> list[NamedShape]:
    """The weights that the user names, with or without ``.weight``."""
    by_name = {weight.label: weight for weight in candidates}
    by_name.update((weight.name, weight) for weight in candidates)
    chosen: list[NamedShape] = []
    for name in order:
        weight = by_name.get(name) or by_name.get(stripped_name(name))
        if weight is None:
            labels = [w.label for w in candidates if not _BIAS.fullmatch(split_name(w.name)[1])]
            raise InputError(
                f"order names {quoted(name)}, which is none of the weights ({listed(labels)})"
            )
        if weight in chosen:
            raise InputError(f"order names {quoted(name)} twice; name each weight once")
        chosen.append(weight)
    return chosen


def _with_batch_norms(
    operations: Sequence[Operation],
    everything: Sequence[Operation],
    parameters: Mapping[str, Tensor],
) -> tuple[list[Operation], list[str]]:
    """The operations with the batch norms that follow each, and notes."""
    sizes = {
        split_name(name)[0]: parameters[name].numel()
        for name in sorted(parameters, key=natural_key)
        if split_name(name)[1] == _STATISTIC
    }
    everything = sorted(everything, key=lambda o: natural_key(o.weight.removesuffix(".weight")))
    normalized = {operation.weight: operation for operation in operations}
    used, notes = [], []
    for name, operation in place_batch_norms(sizes, everything).items():
        if operation is None:
            notes.append(f"batch norm {quoted(name)} scales the network's input: ignored")
        elif operation.weight in normalized:
            before = normalized[operation.weight]
            norms = (*before.norms, _batch_norm(name, parameters))
            normalized[operation.weight] = replace(before, norms=norms)
            used.append(name)
    if used:
        notes.append(
            f"batch norms {listed(used)} taken with eps {DEFAULT_EPS}: a state dict does not say"
        )
    scales = [name for name in parameters if _is_other_scale(name, parameters, sizes)]
    if scales:
        notes.append(f"scales that belong to no batch norm left out: {listed(scales)}")
    return list(normalized.values()), notes


def _batch_norm(name: str, parameters: Mapping[str, Tensor]) -> BatchNorm:
    prefix = f"{name}." if name else ""
    gamma = f"{prefix}weight"
    weight = gamma if gamma in parameters else None
    return BatchNorm(shown(name), f"{prefix}{_STATISTIC}", DEFAULT_EPS, weight)


def _is_other_scale(name: str, parameters: Mapping[str, Tensor], norms: Collection[str]) -> bool:
    """Whether it is the weight of a layer norm or the like, which the definition leaves out."""
    parent, last = split_name(name)
    return last == "weight" and parameters[name].ndim == 1 and parent not in norms
