"""Functions that are set on single modules, as ``model.forward = decorated(model.forward)`` does.

A copy of a module takes such a function as it is, with what it has closed over: the original, in
its own mode and with its own hooks. In a copy that is to be traced it must reach the copy's parts.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

from torch import nn


def rebind(twin: nn.Module, copies: Mapping[int, nn.Module]) -> None:
    """Let the functions that are set on a copy's modules reach these, not the original's.

    Args:
        twin: the copy, which is changed.
        copies: by the id of each module of the original, its copy.
    """
    for part in twin.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
                vars(part)[name] = _rebound(value, copies, {})


def _rebound(value: Any, copies: Mapping[int, nn.Module], done: dict[int, Any]) -> Any:
    """Return what a function holds as the copy has it: itself if it reaches no module."""
    if id(value) in done:
        return done[id(value)]
    done[id(value)] = value  # where it holds itself
    found = value
    if isinstance(value, nn.Module):
        found = copies.get(id(value), value)
    elif isinstance(value, types.MethodType):
        parts = value.__func__, value.__self__
        function, owner = (_rebound(part, copies, done) for part in parts)
        if (function, owner) != parts:
            found = types.MethodType(function, owner)
    elif isinstance(value, types.FunctionType):
        found = _function(value, copies, done)
    elif isinstance(value, functools.partial):
        given = value.func, value.args, value.keywords
        function, args, named = (_rebound(part, copies, done) for part in given)
        if any(map(_differ, (function, args, named), given)):
            found = functools.partial(function, *args, **named)
            vars(found).update(_rebound(vars(value), copies, done))
    elif type(value) in (list, tuple):
        held = [_rebound(part, copies, done) for part in value]
        found = type(value)(held) if any(map(_differ, held, value)) else value
    elif type(value) is dict:
        held = [_rebound(part, copies, done) for part in value.values()]
        changed = any(map(_differ, held, value.values()))
        found = dict(zip(value, held, strict=True)) if changed else value
    done[id(value)] = found
    return found


def _differ(new: object, old: object) -> bool:
    return new is not old


def _function(
    function: types.FunctionType, copies: Mapping[int, nn.Module], done: dict[int, Any]
) -> types.FunctionType:
    outer = function.__globals__
    used = {name: outer[name] for name in function.__code__.co_names if name in outer}
    reaching = {n: x for n, x in used.items() if isinstance(x, nn.Module | types.MethodType)}
    modules = {name: _rebound(value, copies, done) for name, value in reaching.items()}
    filled = [cell for cell in function.__closure__ or () if _is_filled(cell)]
    new = {id(cell): types.CellType() for cell in filled}
    cells = tuple(new.get(id(cell), cell) for cell in function.__closure__ or ())
    found = types.FunctionType(function.__code__, {**outer, **modules}, closure=cells)
    done[id(function)] = found  # where it holds itself
    for cell in filled:
        new[id(cell)].cell_contents = _rebound(cell.cell_contents, copies, done)
    found.__name__, found.__qualname__ = function.__name__, function.__qualname__
    found.__defaults__ = _rebound(function.__defaults__, copies, done)
    found.__kwdefaults__ = _rebound(function.__kwdefaults__, copies, done)
    vars(found).update(_rebound(vars(function), copies, done))  # such as __wrapped__
    pairs = [
        *((new[id(cell)].cell_contents, cell.cell_contents) for cell in filled),
        *((vars(found)[name], value) for name, value in vars(function).items()),
        *((value, reaching[name]) for name, value in modules.items()),
        (found.__defaults__, function.__defaults__),
        (found.__kwdefaults__, function.__kwdefaults__),
    ]
    changed = any(new is not old and new is not found for new, old in pairs)
    return found if changed else function


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
