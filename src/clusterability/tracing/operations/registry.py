"""The registry: how neurons pass through each operation of a traced network.

A rule takes a :class:`Call` and returns the operation's output as a :class:`Value` (a tuple of them
where the operation returns several tensors). Operations are named as PyTorch names them, without
overload and without the underscore of an operation in place: ``aten.relu``, ``aten.conv2d``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.tracing.origins import Term, Value, of_elements, without_repeats
from clusterability.tracing.provenance import produced
from clusterability.tracing.zeros import n_cleared_by
from clusterability.wiring.weights import Weight


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that depends on parameters and buffers alone.

    Attributes:
        name: the parameter's name; a new one for a tensor computed from parameters.
        source: name of the parameter, or of the first one that it is computed from.
        shape: its shape.
        dtype: its type.
        evaluate: computes its value; of other numbers in place of the parameters' if ``drawn``.
        reshaped: returns a constant of the same elements, or of a part of them, in another shape;
            the order of its axes may change before.
        is_trained: whether ``source`` is a parameter, not a buffer or a plain number.
        is_free: whether it is a parameter's, with more elements than its longest axis.
        is_random: whether random numbers go into it too.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    evaluate: Callable[..., Tensor]
    reshaped: Callable[..., Constant]
    is_trained: bool
    is_free: bool
    is_random: bool = False

    @cached_property
    def is_learned(self) -> bool:
        """Whether its numbers change in a training, as those of frozen parameters do not."""
        with torch.enable_grad():
            return self.is_trained and self.evaluate().requires_grad


class OperationError(InputError):
    """An operation that cannot be followed."""

    def __init__(self, message: str, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is chosen by the data, such as an argmax, and may be nothing but an output.

    Attributes:
        sources: the values among which it is chosen.
        refusal: to raise where it goes on.
    """

    sources: tuple[Value, ...]
    refusal: OperationError


@dataclass(frozen=True, eq=False)
class WeightOperation:
    """A linear layer or a convolution where it is applied.

    Attributes:
        name: its name in layers and messages.
        weight: the parameter.
        is_dense: whether it is a linear layer.
        reads: the value that it reads.
        axis: the axis of ``reads`` along which its inputs lie.
        n_outputs: number of outputs of the weight.
    """

    name: str
    weight: Weight
    is_dense: bool
    reads: Value
    axis: int
    n_outputs: int


@dataclass(eq=False)
class Findings:
    """The findings of a walk through the network so far.

    Attributes:
        owners: paths of the modules that hold each parameter, several where it is shared.
        operations: weight operations in the order in which they run.
        notes: remarks for the user, each once.
        functions: numbers of the nonlinear functions met, by operation and arguments.
        ranges: between which numbers the values lie that come from a function, where that is known.
    """

    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    operations: list[WeightOperation] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    functions: dict[tuple[object, ...], int] = field(default_factory=dict)
    ranges: dict[Value, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation, the argument of a rule.

    Attributes:
        operation: its name, as in the registry.
        arguments: the arguments by the names of PyTorch's schema; tensors are :class:`Value` where
            they depend on the network's input, else :class:`Constant`.
        shape: shape of the output; of the first one if there are several.
        shapes: shapes of all outputs.
        module: path of the module that calls it, for messages.
        run: calls the operation itself; takes a sequence of tensors to put in place of its tensor
            arguments, and further arguments to change by name.
        findings: the findings of the walk so far.
    """

    operation: str
    arguments: Mapping[str, Any]
    shape: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    module: str
    run: Callable[..., Any]
    findings: Findings

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def tensors(self) -> Iterator[Value | Constant]:
        """Yield all tensors among the arguments, in order."""
        for argument in self.arguments.values():
            parts = argument if isinstance(argument, list | tuple) else [argument]
            yield from (part for part in parts if isinstance(part, Value | Constant))

    def values(self) -> list[Value]:
        """Return the tensors that depend on the network's input, in order."""
        return [tensor for tensor in self.tensors() if isinstance(tensor, Value)]

    def value(self, name: str) -> Value:
        """Return an argument that must depend on the network's input.

        Raises:
            InputError: if it is constant.
        """
        argument = self.arguments[name]
        if not isinstance(argument, Value):
            raise self.refusal("its input does not depend on the network's input")
        return argument

    def weigh(
        self,
        reads: Value,
        constant: object,
        axis: int,
        *,
        n_outputs: int,
        out_axis: int | None,
        is_dense: bool,
        **how: Any,
    ) -> Value:
        """Enter a weight operation into the findings and return its output.

        Args:
            reads: the value that it reads.
            constant: its weight.
            axis: the axis of ``reads`` along which the weight's inputs lie.
            n_outputs: number of outputs of the weight.
            out_axis: the axis of the output along which these lie; None if all of it is one.
            is_dense: whether it is a linear layer.
            how: layout, groups, transposed; see :class:`Weight`.

        Raises:
            InputError: if the weight is not constant.
        """
        if isinstance(constant, Value) and not constant.terms:
            raise self.refusal(
                "its weight holds no neurons and no parameters, such as random numbers, which are "
                "others in each forward pass; keep them in a buffer"
            )
        if not isinstance(constant, Constant):
            raise self.refusal(
                "it multiplies two tensors that both depend on the input, as attention does, which "
                "this version does not measure"
            )
        axis = axis % len(reads.shape)
        if any(_has_several(term, axis) for term in reads.terms):
            raise self.refusal(
                "it reads one neuron times several trained numbers, each of which is a neuron, in "
                "a form that cannot be taken for a linear layer; write torch.nn.Linear(1, n), or a "
                "convolution with groups where each neuron has numbers of its own"
            )
        weight = Weight(constant.name, **how)
        name = self._name_of(constant.source)
        self.findings.operations.append(
            WeightOperation(name, weight, is_dense, reads, axis, n_outputs)
        )
        place = None if out_axis is None else out_axis % len(self.shape)
        return produced(len(self.findings.operations) - 1, self.shape, place)

    def _name_of(self, parameter: str) -> str:
        """Return the module that holds a weight; where several share it, the one that runs."""
        if self.module in self.findings.owners.get(parameter, ()):
            return self.module or "weight"
        if "::" in parameter:  # a name that an exporter made up
            return self.module.removeprefix("nodes.") or parameter
        return _operation_name(parameter) or self.module or "weight"

    def nonlinear(self, value: Value) -> Value:
        """Return the output of a nonlinear function, element by element, of what this call takes.

        The same function of the same arguments has the same number.
        """
        given = self.arguments.values()
        arguments = (id(x) if isinstance(x, Value | Constant) else repr(x) for x in given)
        functions = self.findings.functions
        number = functions.setdefault((self.operation, *arguments), len(functions) + 1)
        terms = []
        for term in value.terms:
            n_cleared = n_cleared_by(self.operation, term.origin)
            origin = replace(term.origin, function=number, n_cleared=n_cleared)
            terms.append(Term(term.labels, origin, term.places))
        return Value(value.shape, tuple(terms))

    def note(self, text: str) -> None:
        """Add a remark for the user about how the network was read; equal texts count once."""
        self.findings.notes[text] = None

    def refusal(self, why: str) -> OperationError:
        """Return an error that names the operation and the module that calls it."""
        module = f" in module {quoted(self.module)}" if self.module else ""
        return OperationError(f"{self.operation}{module} cannot be followed: {why}", self.operation)


def _has_several(term: Term, axis: int) -> bool:
    """Whether several products of one element with trained numbers lie along an axis."""
    if not term.origin.enlarged or not term.labels.shape[axis]:
        return False
    (labels,) = without_repeats(term.labels)
    elements = of_elements(term.origin.channels, labels).movedim(axis, -1).flatten(0, -2)
    if elements.shape[-1] < term.labels.shape[axis]:  # the same all along the axis
        return bool(elements.any())
    ordered = elements.sort(-1).values
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)).any())


def _operation_name(parameter: str) -> str:
    """Return the path of the module that holds a weight; the weight's name if it tells more."""
    parameter = re.sub(r"\.?parametrizations\.(\w+)\.original\d*$", r".\1", parameter)
    parent, _, last = parameter.rpartition(".")
    return parent if last in ("weight", "kernel") else parameter.lstrip(".")


Rule = Callable[[Call], Value | tuple[Value, ...] | Chosen]

RULES: dict[str, Rule] = {}


def rule(*operations: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations.

    >>> @rule("mylib.squash")
    ... def squash(call):
    ...     return call.value("x")
    >>> RULES.pop("mylib.squash") is squash
    True
    """

    def register(function: Rule) -> Rule:
        for operation in operations:
            RULES[operation] = function
        return function

    return register


def find_rule(call: Call) -> Rule:
    """Return the rule for a call.

    Raises:
        InputError: if no rule is registered for its operation.
    """
    try:
        return RULES[call.operation]
    except KeyError:
        raise call.refusal(
            "no rule says what its output is made of; register one in "
            f"clusterability.tracing.operations.RULES[{call.operation!r}], see docs/extending.md"
        ) from None


def numbers(argument: Any) -> list[int]:
    """Return a list of integers from an argument that is one integer, a list, or None."""
    if argument is None:
        return []
    return list(argument) if isinstance(argument, Sequence) else [int(argument)]
