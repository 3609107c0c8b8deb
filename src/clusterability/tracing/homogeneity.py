"""Whether a network keeps its function when a hidden neuron is scaled, decided by its program.

A neuron's inputs can be multiplied by c > 0 and its outputs divided by c if everything between is
positively homogeneous: f(c x) = c f(x), as ReLU, pools and sums are. A batch norm with running
statistics begins anew: its own weight and bias scale what comes out of it, whatever comes in. An
operation that is not known to be homogeneous counts as one that is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import torch
from torch import fx

from clusterability.shown import quoted
from clusterability.tracing.nodes import operation_name, read_inputs
from clusterability.tracing.walking import bound_arguments, module_path
from clusterability.wiring.connections import Connection
from clusterability.wiring.wiring import Wiring

_WEIGHTS = {
    *("aten.linear", "aten.mm", "aten.matmul", "aten.addmm", "aten.convolution"),
    *(f"aten.conv{n}d" for n in (1, 2, 3)),
    *(f"aten.conv_transpose{n}d" for n in (1, 2, 3)),
}

_NORMS = {"aten.batch_norm", "aten._native_batch_norm_legit_no_training"}

_SAME = {
    *("aten.to", "aten.contiguous", "aten.detach", "aten.alias", "aten.clone", "aten._to_copy"),
    *("aten.dropout", "aten.feature_dropout", "aten.lift_fresh_copy"),
}

_HOMOGENEOUS = {
    *_SAME,
    *("aten.relu", "aten.leaky_relu", "aten.prelu", "aten.abs", "aten.neg"),
    *(f"aten.{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)),
    *(f"aten.adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)),
    *(f"aten.max_pool{n}d_with_indices" for n in (1, 2, 3)),
    *("aten.mean", "aten.sum", "aten.amax", "aten.amin"),
    *("aten.view", "aten.reshape", "aten._unsafe_view", "aten.flatten", "aten.unflatten"),
    *("aten.squeeze", "aten.unsqueeze", "aten.permute", "aten.transpose", "aten.t", "aten.expand"),
    *("aten.movedim", "aten.flip", "aten.roll", "aten.channel_shuffle", "aten.pixel_shuffle"),
    *("aten.pixel_unshuffle", "aten.slice", "aten.select", "aten.narrow", "aten.index_select"),
    *("aten.split", "aten.split_with_sizes", "aten.chunk", "aten.unbind"),
    *("aten.cat", "aten.concat", "aten.stack"),
    *(f"aten.{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)),
    *(f"aten.upsample_nearest{n}d" for n in (1, 2, 3)),
    *("aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_trilinear3d"),
}
"""Operations with f(c x) = c f(x) for c > 0, if all tensors that depend on the input are scaled."""

_SUMS = {"aten.add", "aten.sub"}

_PRODUCTS = {"aten.mul", "aten.div"}


@dataclass(frozen=True)
class _Flow:
    """What reaches a tensor from the last weights or batch norms before it.

    Attributes:
        hidden: whether any of these.
        image: whether the network's input, without a weight.
        reason: why their neurons cannot be scaled; empty if they can.
    """

    hidden: bool = False
    image: bool = False
    reason: str = ""


@dataclass
class Homogeneity:
    """What scaling must know of a program beside its wiring.

    Attributes:
        biases: name of the bias of each weight, and of each batch norm by the name of its weight.
        reasons: for each weight why what it reads cannot be scaled; empty if it can.
        uses: how often the program uses each parameter.
    """

    biases: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)

    def refusals(self, wiring: Wiring) -> Iterator[tuple[Connection, str]]:
        """Yield the connections whose source cannot be scaled, each with the reason."""
        targets = {connection.target for connection in wiring.connections}
        for connection in wiring.connections:
            name = connection.weight.name
            reason = self.reasons.get(name)
            if connection.source in targets and reason != "":
                yield connection, reason or f"how {quoted(name)} is applied is not followed"

    def allows_scaling(self, wiring: Wiring) -> bool:
        """Whether every hidden neuron of the wiring can be scaled, each weight used once."""
        names = {connection.weight.name for connection in wiring.connections}
        names |= {bias for name, bias in self.biases.items() if name in names}
        used_once = all(self.uses.get(name) == 1 for name in names)
        return used_once and next(self.refusals(wiring), None) is None


def homogeneity(program: torch.export.ExportedProgram) -> Homogeneity:
    """Follow a program's input to its outputs, as :mod:`clusterability.tracing.walking` does."""
    walk = _Walk(program)
    for node in program.graph.nodes:
        walk.visit(node)
    return walk.found


class _Walk:
    def __init__(self, program: torch.export.ExportedProgram) -> None:
        signature = program.graph_signature
        self.found = Homogeneity()
        self._names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._inputs = set(signature.user_inputs)
        self._flows: dict[fx.Node, _Flow] = {}

    def visit(self, node: fx.Node) -> None:
        """Enter what reaches a node; nothing if it does not depend on the input."""
        if node.op == "placeholder":
            if node.name in self._inputs:
                self._flows[node] = _Flow(image=True)
            elif node.name in self._names:
                self.found.uses[self._names[node.name]] = sum(1 for _ in _uses(node))
        elif any(n in self._flows for n in read_inputs(node)) and node.op != "output":
            self._flows[node] = self._after(node)

    def _after(self, node: fx.Node) -> _Flow:
        flows = [self._flows[n] for n in node.all_input_nodes if n in self._flows]
        flow = reduce(_together, flows)
        if getattr(node.target, "__name__", "") == "getitem":
            return flow
        if not isinstance(node.target, torch._ops.OpOverload):
            return _stopped(flow, node, "is not followed")
        name, arguments = operation_name(node), bound_arguments(node)
        if name in _WEIGHTS:
            return self._after_weight(node, name, arguments, flow)
        if name in _NORMS:
            return self._after_norm(node, arguments, flow)
        if name in _SUMS:
            return _after_sum(node, arguments, flows, flow)
        return flow if self._is_homogeneous(node, name, arguments) else _stopped(flow, node, "")

    def _after_weight(
        self, node: fx.Node, name: str, arguments: dict[str, Any], flow: _Flow
    ) -> _Flow:
        constants = [n for n in node.all_input_nodes if n not in self._flows]
        bias = arguments.get("bias", arguments.get("self") if name == "aten.addmm" else None)
        weights = [n for n in constants if n is not bias]
        if len(weights) != 1 or bias in self._flows:
            return _stopped(_Flow(hidden=True, image=flow.image), node, "")
        weight = self._name(weights[0])
        self.found.reasons[weight] = flow.reason if flow.hidden else ""
        if isinstance(bias, fx.Node):
            self.found.biases[weight] = self._name(bias)
        plain = name != "aten.addmm" or arguments["alpha"] == arguments["beta"] == 1
        return _Flow(hidden=True) if plain else _stopped(_Flow(hidden=True), node, "")

    def _after_norm(self, node: fx.Node, arguments: dict[str, Any], flow: _Flow) -> _Flow:
        weight, bias = arguments["weight"], arguments["bias"]
        if arguments.get("training"):
            return _stopped(flow, node, "normalizes by the batch")
        if not flow.hidden:
            return flow
        if not isinstance(weight, fx.Node):
            return _stopped(flow, node, "has no weight (affine=False), and its epsilon is fixed")
        if isinstance(bias, fx.Node):
            self.found.biases[self._name(weight)] = self._name(bias)
        return _Flow(hidden=True, image=flow.image)

    def _is_homogeneous(self, node: fx.Node, name: str, arguments: dict[str, Any]) -> bool:
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and not value.is_floating_point():
            return False
        if name in _PRODUCTS:
            scaled = [arguments[side] in self._flows for side in ("self", "other")]
            allowed = [[True, False], [False, True]] if name == "aten.mul" else [[True, False]]
            return scaled in allowed and arguments.get("rounding_mode") is None
        if name in ("aten.pad", "aten.constant_pad_nd"):
            return not arguments.get("value")
        return name in _HOMOGENEOUS

    def _name(self, node: fx.Node) -> str:
        """Return a parameter's name; a name that no parameter has if it is computed."""
        while node.op == "call_function" and operation_name(node) in _SAME:
            node = node.all_input_nodes[0]
        return str(self._names.get(node.name, f"computed {node.name}"))


def _uses(node: fx.Node) -> Iterator[fx.Node]:
    for user in node.users:
        if user.op == "call_function" and operation_name(user) in _SAME:
            yield from _uses(user)
        else:
            yield user


def _together(first: _Flow, second: _Flow) -> _Flow:
    return _Flow(
        first.hidden or second.hidden, first.image or second.image, first.reason or second.reason
    )


def _after_sum(node: fx.Node, arguments: dict[str, Any], flows: list[_Flow], flow: _Flow) -> _Flow:
    other = arguments["other"]
    if len(flows) == 1 and not (len(node.all_input_nodes) == 1 and other is node.args[0]):
        return _stopped(flow, node, "adds a constant")
    if flow.hidden and flow.image:
        return _stopped(flow, node, "adds the network's input, whose scale is given")
    if len(flows) > 1 and _shape(node.args[0]) != _shape(other):
        return _stopped(flow, node, "adds one number to many neurons, whose scales differ")
    return flow


def _shape(node: Any) -> tuple[int, ...]:
    """Return the shape of a tensor before it is expanded."""
    while operation_name(node) in (*_SAME, "aten.expand"):
        node = node.all_input_nodes[0]
    return tuple(node.meta["val"].shape)


def _stopped(flow: _Flow, node: fx.Node, why: str) -> _Flow:
    """Return what cannot be scaled from here on; the first reason stays.

    The network's input is not scaled anyway.
    """
    if not flow.hidden:
        return flow
    name = str(getattr(node.target, "__name__", node.target))
    if isinstance(node.target, torch._ops.OpOverload):
        name = operation_name(node)
    module = f" in module {quoted(module_path(node))}" if module_path(node) else ""
    text = why or "is not positively homogeneous, f(c x) = c f(x), as ReLU is"
    return replace(flow, reason=flow.reason or f"{name}{module} {text}")
