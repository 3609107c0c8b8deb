"""The walk through an exported program, which finds every weight operation and its input."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx

from clusterability.errors import InputError
from clusterability.shown import listed
from clusterability.tracing.computed import Computed, Rearranged
from clusterability.tracing.nodes import is_noise, of_the_input, operation_name, read_inputs
from clusterability.tracing.operations import Call, Constant, Findings, WeightOperation, find_rule
from clusterability.tracing.operations.refused import is_refused
from clusterability.tracing.operations.registry import Chosen, OperationError
from clusterability.tracing.origins import MOST_ELEMENTS, Product, Value
from clusterability.tracing.provenance import network_input

_SAME = {
    *("aten.to", "aten.contiguous", "aten.detach", "aten.alias", "aten.clone", "aten._to_copy"),
    *("aten.lift_fresh", "aten.lift_fresh_copy", "aten.dropout", "aten.type_as"),
}
"""Operations that give a constant another place in memory and change nothing else."""

_LEADING_ON = {
    *("aten.view", "aten.reshape", "aten.flatten", "aten.squeeze", "aten.unsqueeze", "aten.stack"),
    *("aten.permute", "aten.transpose", "aten.t", "aten.cat", "aten.select", "aten.slice"),
    *("aten.index", "aten.gather", "aten.index_select", "aten.add", "aten.sub", "aten.mul"),
    *("aten.eq", "aten.ne", "aten.gt", "aten.ge", "aten.lt", "aten.le"),
}
"""What may be done to a choice by the data, such as an argmax, before it is returned."""

_CONTEXTS = {"wrap_with_autocast", "wrap_with_set_grad_enabled"}

_RESHAPED = {"aten.view", "aten._unsafe_view"}

_HOLDING = (fx.Node, tuple, list, dict, slice)
"""Arguments that may hold nodes."""


@dataclass(frozen=True, eq=False)
class Walked:
    """The result of a walk, from which a wiring is assembled.

    Attributes:
        operations: weight operations in the order in which they run.
        outputs: the network's outputs.
        notes: remarks for the user.
        computed: the program's constants, by the names that weights use.
        on_maps: the operations whose outputs are channels of a map, the same at several positions.
    """

    operations: tuple[WeightOperation, ...]
    outputs: tuple[Value, ...]
    notes: tuple[str, ...]
    computed: Computed
    on_maps: frozenset[int]


def walk(
    program: torch.export.ExportedProgram,
    parameters: Mapping[str, Tensor],
    owners: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> Walked:
    """Follow the network's input to its outputs.

    Args:
        program: the exported forward pass.
        parameters: tensors by name; only the values of indices are read.
        owners: paths of the modules that hold each parameter, several where it is shared.

    Raises:
        InputError: if an operation cannot be followed.
    """
    walker = _Walker(program, parameters, owners)
    try:
        walker.follow(program.graph)
    except OperationError as error:
        others = _not_followed(program, error.operation)
        raise InputError(f"{error}; nor can {listed(others)}" if others else str(error)) from None
    names = set(program.graph_signature.user_outputs)
    returned: list[fx.Node] = []
    fx.map_arg(program.graph.output_node().args, returned.append)
    found = [walker.known[node] for node in returned if node.name in names]
    outputs = tuple(output for known in found for output in _outputs(known))
    on_maps = frozenset(i for known in walker.known.values() for i in _on_map(known))
    findings = walker.findings
    return Walked(
        tuple(findings.operations), outputs, tuple(findings.notes), walker.computed, on_maps
    )


def _not_followed(program: torch.export.ExportedProgram, first: str) -> list[str]:
    """Return the operations beside the first that depend on the input and have no rule."""
    names: dict[str, None] = {}
    for node in of_the_input(program):
        if is_refused(operation_name(node)):
            names[operation_name(node)] = None
    return [name for name in names if name != first]


class _Walker:
    def __init__(
        self,
        program: torch.export.ExportedProgram,
        parameters: Mapping[str, Tensor],
        owners: Mapping[str, frozenset[str]],
    ) -> None:
        self.computed = Computed(program)
        self.findings = Findings(owners)
        self.known: dict[fx.Node, Any] = {}
        self._parameters = parameters
        self._inputs = set(program.graph_signature.user_inputs)
        self._trained = set(program.graph_signature.parameters)
        self._noise: set[fx.Node] = set()
        self._noisy: set[fx.Node] = set()  # random numbers and trained ones

    def follow(self, graph: fx.Graph) -> Any:
        """Walk a graph and return the value of its output.

        Placeholders of a part of the program are known before.
        """
        for node in graph.nodes:
            if node.op == "output":
                return fx.map_arg(node.args[0], lambda n: self.known[n])
            if node not in self.known:
                self._visit(node)
        raise AssertionError("a graph ends with its output")

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder" and node.name in self._inputs:
            self.known[node] = network_input(node.meta["val"].shape)
        elif node.op in ("placeholder", "get_attr") or not any(
            _holds_value(self.known[n]) for n in read_inputs(node) if n not in self._noise
        ):
            self.known[node] = self._constant(node)
        elif not node.users and node.meta.get("val") is None:
            self.known[node] = None  # an assertion: nothing comes out
        elif any(isinstance(self.known[n], Chosen) for n in node.all_input_nodes):
            self.known[node] = self._after_choice(node)
        elif node.target is operator.getitem:
            self.known[node] = self.known[node.args[0]][node.args[1]]  # type: ignore[index]
        else:
            self.known[node] = self._ruled(node)

    def _constant(self, node: fx.Node) -> Any:
        meta = node.meta.get("val")
        self._note_noise(node)
        if not isinstance(meta, Tensor):
            return _Opaque(node)
        if node in self._noise:
            return Value(tuple(meta.shape), ())
        if operation_name(node) in _SAME:
            same = self.known[node.args[0]]  # type: ignore[index]
            if isinstance(same, Constant) and same.dtype == meta.dtype:
                return same
        name, source = self.computed.name(node), self.computed.source(node)

        def evaluate(drawn: bool = False) -> Tensor:
            given = self._drawn(node) if drawn else self._parameters
            value: Tensor = self.computed.evaluate(node, given)
            return value

        found = self._named(name, source, tuple(meta.shape), meta.dtype, evaluate)
        return replace(found, is_random=True) if node in self._noisy else found

    def _drawn(self, node: fx.Node) -> Mapping[str, Tensor]:
        """Return the parameters with other numbers for those that a constant depends on."""
        generator = torch.Generator().manual_seed(0)
        drawn = {name: self._parameters[name] for name in self.computed.sources(node)}
        for name in sorted(drawn.keys() & self._trained):
            given = drawn[name]
            if given.is_floating_point():
                drawn[name] = given + torch.rand(given.shape, generator=generator).to(given)
        return drawn

    def _note_noise(self, node: fx.Node) -> None:
        """Note whether a constant is random numbers alone, which are factors of nothing.

        Integers are not: they are places, such as those of a random order.
        """
        like = node.meta.get("val")
        if isinstance(like, Tensor) and not (like.is_floating_point() or like.dtype == torch.bool):
            return
        before = {*read_inputs(node)}
        if is_noise(node) or before & self._noise or before & self._noisy:
            is_trained = self.computed.source(node) in self._trained
            (self._noisy if is_trained else self._noise).add(node)

    def _named(
        self,
        name: str,
        source: str,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        evaluate: Callable[..., Tensor],
    ) -> Constant:
        def reshaped(
            new: tuple[int, ...],
            order: Sequence[int] | None = None,
            first: Sequence[int] = (),
            part: tuple[int, int] | None = None,
            taken: tuple[int, ...] | None = None,
        ) -> Constant:
            axes = tuple(range(len(shape)) if order is None else order)
            how = Rearranged(tuple(first), axes, new, part, taken)
            if how == Rearranged((), tuple(range(len(shape))), shape):
                return constant
            told = (tuple(first) or None, None if order is None else how.order, new, taken)
            ends = None if part is None else slice(*part)
            other = " ".join([name, *(str(each) for each in (*told, ends) if each is not None)])
            self.computed.reshaped[other] = name, how
            return self._named(other, source, new, dtype, lambda **of: how(evaluate(**of)))

        trained = source in self._trained
        is_free = trained and self.computed.sizes[source] > max(shape, default=0)
        constant = Constant(name, source, shape, dtype, evaluate, reshaped, trained, is_free)
        return constant

    def _inside(self, node: fx.Node) -> Any:
        """Return the output of a part of the network that runs in a context, such as autocast."""
        place = next(i for i, arg in enumerate(node.args) if self._is_part(arg))
        part, inputs = node.args[place], node.args[place + 1 :]
        assert isinstance(part, fx.Node)
        graph = operator.attrgetter(str(part.target))(part.graph.owning_module).graph
        placeholders = (n for n in graph.nodes if n.op == "placeholder")
        for placeholder, outer in zip(placeholders, inputs, strict=True):
            assert isinstance(outer, fx.Node)
            self.known[placeholder] = self.known[outer]
            for marked in (self._noise, self._noisy):
                if outer in marked:
                    marked.add(placeholder)
            self.computed.outer[placeholder] = outer
        return self.follow(graph)

    def _is_part(self, arg: object) -> bool:
        return isinstance(arg, fx.Node) and isinstance(self.known[arg], _Opaque)

    def _ruled(self, node: fx.Node) -> Any:
        name = operation_name(node)
        if name in _CONTEXTS:
            return self._inside(node)
        bound = bound_arguments(node)
        call = Call(
            operation=name,
            arguments=_filled(bound, lambda n: self.known[n]),
            shape=_shapes(node)[0],
            shapes=_shapes(node),
            module=module_path(node),
            run=self._runner(node, name, bound),
            findings=self.findings,
        )
        if not isinstance(node.target, torch._ops.OpOverload):
            raise call.refusal("it is control flow; measure the part of the network without it")
        if not all(isinstance(size, int) for shape in call.shapes for size in shape):
            raise call.refusal(
                "the size of what it returns depends on values, such as those of a mask; take "
                "elements by their positions instead"
            )
        if max(map(math.prod, call.shapes)) > MOST_ELEMENTS:
            raise call.refusal(f"what it returns has {max(map(math.prod, call.shapes))} elements")
        found = find_rule(call)(call)
        if isinstance(found, Chosen):
            return found
        for value in found if isinstance(found, tuple) else (found,):
            if not isinstance(value, Value):
                raise call.refusal(f"its rule returned {type(value).__name__}, expected a Value")
        return found

    def _after_choice(self, node: fx.Node) -> Chosen:
        """Return what is computed from a choice by the data; no neurons can be told in it.

        Raises:
            InputError: if anything but what leads to an output is computed from it.
        """
        known = [self.known[n] for n in node.all_input_nodes]
        chosen = [value for value in known if isinstance(value, Chosen)]
        if any(isinstance(value, Value) for value in known) or not _leads_on(node):
            raise chosen[0].refusal
        sources = tuple(source for value in chosen for source in value.sources)
        return Chosen(sources, chosen[0].refusal)

    def _runner(self, node: fx.Node, name: str, bound: dict[str, Any]) -> Callable[..., Any]:
        target: Any = torch.ops.aten.reshape.default if name in _RESHAPED else node.target

        def run(tensors: Sequence[Tensor], **changed: Any) -> Any:
            given = iter(tensors)

            def replaced(n: fx.Node) -> Any:
                known = self.known[n]
                return next(given) if isinstance(known, Value | Constant) else known

            filled = _filled(bound, replaced) | changed
            assert isinstance(node.target, torch._ops.OpOverload)
            flags = _by_name_only(node.target)
            args = [arg for key, arg in filled.items() if key not in flags]
            return target(*args, **{key: filled[key] for key in flags})

        return run


def _filled(bound: Mapping[str, Any], known: Callable[[fx.Node], Any]) -> dict[str, Any]:
    """Return arguments with what is known of each node in its place."""
    return {
        key: fx.map_arg(arg, known) if isinstance(arg, _HOLDING) else arg
        for key, arg in bound.items()
    }


def bound_arguments(node: fx.Node) -> dict[str, Any]:
    """Return all arguments by name, in the schema's order, with defaults filled in."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return {str(i): arg for i, arg in enumerate(node.args)} | dict(node.kwargs)
    bound = dict(_defaults(node.target))
    bound.update(zip(bound, node.args, strict=False))
    return bound | node.kwargs


@cache
def _defaults(operation: torch._ops.OpOverload) -> Mapping[str, Any]:
    """Return the default of each argument by its name; torch makes a schema anew at each look."""
    return {argument.name: argument.default_value for argument in operation._schema.arguments}


@cache
def _by_name_only(operation: torch._ops.OpOverload) -> frozenset[str]:
    return frozenset(a.name for a in operation._schema.arguments if a.kwarg_only)


def _outputs(known: object) -> tuple[Value, ...]:
    if isinstance(known, Chosen):
        return known.sources
    return (known,) if isinstance(known, Value) else ()


def _on_map(known: object) -> set[int]:
    """Return the operations whose outputs fill several positions of a value, examples aside.

    A product with a matrix is the first half of a linear layer: what it repeats are no positions.
    """
    if isinstance(known, tuple):
        return {operation for part in known for operation in _on_map(part)}
    if not isinstance(known, Value) or len(known.shape) < 3 or isinstance(known, Product):
        return set()
    positions = [axis for axis, size in enumerate(known.shape) if axis and size > 1]
    return {
        term.origin.operation
        for term in known.terms
        if any(term.labels.stride(axis) == 0 for axis in positions)
    }


def _leads_on(node: fx.Node) -> bool:
    """Whether an operation changes nothing but the place or the type of what it is given."""
    return node.target is operator.getitem or operation_name(node) in (*_SAME, *_LEADING_ON)


class _Opaque:
    """A constant that is no tensor, such as a size or a part of the program."""

    def __init__(self, node: fx.Node) -> None:
        self.node = node


def _holds_value(known: Any) -> bool:
    if isinstance(known, tuple | list):
        return any(_holds_value(part) for part in known)
    return isinstance(known, Value | Chosen)


def _shapes(node: fx.Node) -> tuple[tuple[int, ...], ...]:
    meta = node.meta.get("val")
    parts = meta if isinstance(meta, tuple | list) else [meta]
    return tuple(tuple(p.shape) if isinstance(p, Tensor) else () for p in parts)


def module_path(node: fx.Node) -> str:
    """Return the path of the innermost module that calls a node; empty for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    return str(path)
