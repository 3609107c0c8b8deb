"""Export of a module's forward pass as a graph of operations, by ``torch.export``."""

from __future__ import annotations

import copy
import gc
import io
import logging
import re
import sysconfig
import traceback
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from clusterability.errors import InputError
from clusterability.shown import quoted, shown
from clusterability.tracing.effective import effective_parameter, hook_made_parameters
from clusterability.tracing.rebinding import rebind
from clusterability.tracing.signatures import return_mappings, take_own_arguments

_OTHERS = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    sysconfig.get_path("platlib"),
    str(Path(__file__).parents[1]),
    "<",
)
"""Prefixes of the paths of code that is not the user's."""

_UNCOPIED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)
"""What a deep copy takes as it is."""


_UNKNOWN_OUTPUT = re.compile(r"Found <class '([^']*)'> in output")
"""What torch says of an output that it cannot take apart."""


def exported(module: nn.Module, inputs: tuple[Any, ...]) -> torch.export.ExportedProgram:
    """Return the forward pass in evaluation mode as an exported program.

    Args:
        module: any module; a copy that shares its tensors runs in its place.
        inputs: arguments of its forward pass, perhaps with :class:`Named` as the last; only shapes
            and types matter.

    Raises:
        InputError: if the forward pass fails, or branches on its data.
    """
    check_traceable(module)
    with quiet(), only_to_walk(), torch.no_grad():
        twin = evaluating_copy(module)
        try:
            positional, named = as_arguments(inputs)
            take_own_arguments(twin, positional, named)
            program = _program(twin, positional, named)
            return _functional(program) if _mutates_views(program) else program
        except InputError:
            raise
        except Exception as error:
            raise InputError(_why(module, error)) from error


def _program(
    module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]
) -> torch.export.ExportedProgram:
    """Export a copy's forward pass; one that returns what torch does not know is changed first."""
    try:
        return torch.export.export(module, positional, named, strict=False)
    except Exception as error:
        if not _UNKNOWN_OUTPUT.search(str(error)):
            raise
    return_mappings(module)
    return torch.export.export(module, positional, named, strict=False)


class Named(dict[str, Any]):
    """Arguments of a forward pass by name, the last of its example inputs."""


def as_arguments(inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional arguments and the named ones."""
    if inputs and isinstance(inputs[-1], Named):
        return inputs[:-1], dict(inputs[-1])
    return inputs, {}


def check_traceable(module: nn.Module) -> None:
    """Refuse modules that cannot be traced, or not yet.

    Raises:
        InputError: if it is a TorchScript module, or has lazy parameters or buffers.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            "a TorchScript module cannot be traced; pass the torch.nn.Module that it was made from"
        )
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise InputError(
                f"{quoted(name)} is lazy and has no values yet; run the network once on a batch"
            )


def evaluating_copy(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode with the same tensors, and weights in place of hooks."""
    hooks: dict[int, Any] = {}
    for part in module.modules():
        hooks[id(part._forward_hooks)] = type(part._forward_hooks)()
        hooks[id(part._forward_pre_hooks)] = copy.copy(part._forward_pre_hooks)
    copies: dict[int, Any] = {**_tensors(module), **hooks}
    try:
        twin = copy.deepcopy(module, copies)
    except Exception as error:
        reason = shown(f"{type(error).__name__}: {error}".splitlines()[0], 120)
        raise InputError(
            f"{type(module).__name__} cannot be copied to be traced ({reason}); take out of it "
            "what is no part of the network"
        ) from error
    own = set(module.modules())
    if any(part in own for part in twin.modules()):
        raise InputError(
            f"{type(module).__name__} cannot be copied to be traced: a part of it is its own copy; "
            "take out its __deepcopy__"
        )
    rebind(twin, {id(part): copies.get(id(part), part) for part in own})
    for part in twin.modules():
        for name in hook_made_parameters(part):
            weight = effective_parameter(part, name).detach()
            vars(part).pop(name, None)  # the hook would write it here
            part.register_parameter(name, nn.Parameter(weight, requires_grad=False))
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part.training = False
    return twin


def _tensors(module: nn.Module) -> dict[int, Tensor]:
    """Return all tensors that a module holds by their ids, stored activations among them.

    Those lie in lists or objects of any kind, which are searched as a copy goes through them.
    """
    found: dict[int, Tensor] = {}
    seen: set[int] = set()
    waiting: list[Any] = [vars(part) for part in module.modules()]
    while waiting:
        held = waiting.pop()
        if id(held) in seen or isinstance(held, _UNCOPIED):
            continue
        seen.add(id(held))
        if isinstance(held, Tensor):
            found[id(held)] = held
        else:
            waiting += gc.get_referents(held)
            if isinstance(held, dict):  # from Python 3.13 on, those of attributes have no referents
                waiting += dict.values(held)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, logs and prints: torch writes pages about an export that fails.

    The cache of parametrizations is off too, as it would keep tensors without values.
    """
    level = logging.root.manager.disable
    cached, parametrize._cache_enabled = parametrize._cache_enabled, 0
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                yield
    finally:
        logging.disable(level)
        parametrize._cache_enabled = cached


@contextmanager
def only_to_walk() -> Iterator[None]:
    """Let torch make a graph without code, and without the lines that led to each operation.

    Nothing here runs a graph or reads those lines, which take a fifth to two fifths of an export.
    Torch writes the code when it is asked for. A version that cannot do without it writes it.
    """
    config, lazy = torch.fx.config, getattr(torch.fx, "_lazy_graph_module", None)
    noted = getattr(config, "do_not_emit_stack_traces", None)
    lazily = getattr(lazy, "_use_lazy_graph_module", lambda _: nullcontext())
    if noted is not None:
        config.do_not_emit_stack_traces = True
    try:
        with lazily(True):
            yield
    finally:
        if noted is not None:
            config.do_not_emit_stack_traces = noted


def _functional(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Write operations in place as functions, by torch's functionalization.

    It writes a change of an expanded view to the tensor behind as ``old + (new - old)``, which is
    replaced by the new one: a walk would add up the strengths of all three.
    """
    program = program.run_decompositions({})
    for node in list(program.graph.nodes):
        new = _only_replaced_by(node)
        if new is not None:
            change = node.args[1]
            node.target, node.args = torch.ops.aten.alias.default, (new,)
            program.graph.erase_node(change)
    return program


def _only_replaced_by(node: torch.fx.Node) -> torch.fx.Node | None:
    """Return the new tensor of ``old + (new - old)``; None for any other operation."""
    if node.target is not torch.ops.aten.add.Tensor or len(node.args) != 2 or node.kwargs:
        return None
    old, change = node.args
    if not isinstance(change, torch.fx.Node) or len(change.users) > 1 or change.kwargs:
        return None
    if change.target is not torch.ops.aten.sub.Tensor or change.args[1:] != (old,):
        return None
    new = change.args[0]
    assert isinstance(new, torch.fx.Node)
    return new if new.meta["val"].shape == node.meta["val"].shape else None


def _mutates_views(program: torch.export.ExportedProgram) -> bool:
    """Whether an operation in place changes a shape, or values that another one may still read."""
    for node in program.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if node.target._schema.is_mutable:
            changed = node.args[0]
            assert isinstance(changed, torch.fx.Node)
            if torch.Tag.inplace_view in node.target.tags or _is_read_elsewhere(changed):
                return True
    return False


def _is_read_elsewhere(changed: torch.fx.Node) -> bool:
    """Whether a second operation reads what one changes, or what it is a view of, however far back.

    Raises:
        InputError: if dropout returned it. In evaluation mode dropout returns its input, which
            neither torch's schema nor its functionalization reports: the trace would be wrong.
    """
    shared = after_dropout = False
    node: Any = changed
    while isinstance(node, torch.fx.Node):
        if len(node.users) > 1:
            shared = True
            if after_dropout:
                raise InputError(
                    "the forward pass changes in place what dropout returns, which in evaluation "
                    "mode is its own input, used elsewhere too; write y = y + x instead of y += x "
                    "there"
                )
        if not isinstance(node.target, torch._ops.OpOverload):
            return True  # an input, a parameter, or one of several parts
        schema = node.target._schema
        is_dropout = "dropout" in schema.name
        is_view = is_dropout or any(r.alias_info is not None for r in schema.returns)
        if schema.is_mutable or not is_view:  # changed and checked already, or a tensor of its own
            return shared
        after_dropout |= is_dropout
        node = node.args[0]
    return True


def _why(module: nn.Module, error: Exception) -> str:
    """Return an error message that gives the first line of torch's error and its place."""
    name = type(module).__name__
    place = _place(error)
    for parameter, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta:
            return (
                f"{quoted(parameter)} lies on the meta device and has no values; make it with "
                "to_empty(device='cpu') and load the weights first"
            )
    if "data-dependent" in str(error) or "GuardOnDataDependent" in type(error).__name__:
        return (
            f"{name} branches on its data{place}, so that there is no one graph of it; measure "
            f"{_part_before(module)}, or replace the branch by torch.where"
        )
    if "more than 1 value per channel" in str(error):
        parts = module.named_modules()
        own = [path for path, m in parts if isinstance(m, _BatchNorm) and m.running_var is None]
        which = (
            f"batch norm {quoted(own[0])} of {name}" if own else f"a batch norm of {name}{place}"
        )
        return (
            f"{which} keeps no running statistics, which scale the strengths; train it with "
            "track_running_stats=True"
        )
    unknown = _UNKNOWN_OUTPUT.search(str(error))
    if unknown:
        kind = shown(unknown.group(1).rpartition(".")[2])
        return (
            f"{name} returns an object of type {kind}, which is no tensor; leave it out (for a "
            "cache of transformers, model.config.use_cache = False), or wrap the network in a "
            "module that returns tensors alone"
        )
    if re.search("arity mismatch|attrs were (created|deleted)|assigned during export", str(error)):
        return (
            f"{name} keeps tensors in its attributes as it runs, which torch {torch.__version__} "
            "cannot trace; use a newer torch, or leave these attributes out"
        )
    reason = shown(str(error).strip().splitlines()[0] if str(error).strip() else "", 200)
    return (
        f"{name} could not be traced{place}: {type(error).__name__}: {reason}; check that "
        "example_inputs (on the command line --input-shape) fit its forward pass"
    )


def _part_before(module: nn.Module) -> str:
    """Name what can be measured of a network that branches, such as a detector's backbone."""
    if isinstance(getattr(module, "backbone", None), nn.Module):
        return "its part 'backbone' by itself (model.backbone)"
    return "the part without the branch"


def _place(error: Exception) -> str:
    """Return the file and line of the user's own code that failed; empty if there is none."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OTHERS)
    ]
    return f" at {shown(own[-1].filename)}, line {own[-1].lineno}" if own else ""
