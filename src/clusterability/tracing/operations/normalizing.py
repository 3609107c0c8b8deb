"""Rules for normalizations, which scale the values that pass through them."""

from __future__ import annotations

from dataclasses import replace

import torch

from clusterability.shown import quoted
from clusterability.tracing.multiplying import scaled
from clusterability.tracing.operations.factors import by_constant
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.provenance import joined
from clusterability.tracing.shifts import without_shifts
from clusterability.tracing.zeros import cleared
from clusterability.wiring.scales import BatchNorm


@rule("aten.batch_norm", "aten._native_batch_norm_legit_no_training", "aten.native_batch_norm")
def batch_norm(call: Call) -> Value | tuple[Value, ...]:
    """Multiply each channel by |gamma| / sqrt(running_var + eps)."""
    if call.arguments.get("training") and isinstance(call["running_var"], Constant):
        return _by_data(call, call["weight"], len(call.shape) - 2)
    return _by_running(call)


def _by_running(call: Call) -> Value | tuple[Value, ...]:
    value, running_var, weight = call.value("input"), call["running_var"], call["weight"]
    if not isinstance(running_var, Constant):
        raise call.refusal(
            "it keeps no running statistics, which scale the strengths; train it with "
            "track_running_stats=True"
        )
    name = running_var.name.removesuffix(".running_var")
    if any(term.origin.operation == INPUT for term in value.terms):
        call.note(
            f"batch norm {quoted(name)} scales the network's input, which is no strength between "
            "neurons: ignored"
        )
    gamma = weight.name if isinstance(weight, Constant) else None
    norm = BatchNorm(name, running_var.name, float(call["eps"]), gamma)
    n_channels = value.shape[1]
    entries = torch.arange(n_channels).view(1, -1, *[1] * (len(value.shape) - 2))
    out = scaled(value, norm, entries.expand(value.shape), n_channels)
    out = cleared(without_shifts(out))
    return (out, *[Value(shape, ()) for shape in call.shapes[1:]]) if len(call.shapes) > 1 else out


@rule("aten.layer_norm", "aten.native_layer_norm", "aten.rms_norm")
def over_features(call: Call) -> Value | tuple[Value, ...]:
    """Multiply the last axes by |gamma|; the scale that depends on the data is left out."""
    return _by_data(call, call["weight"], 0)


@rule("aten.group_norm", "aten.instance_norm", "aten.native_group_norm")
def over_channels(call: Call) -> Value | tuple[Value, ...]:
    """Multiply the channels by |gamma|; the scale that depends on the data is left out."""
    if call.arguments.get("use_input_stats") is False:
        return _by_running(call)
    value = call.values()[0]
    return _by_data(call, call["weight"], len(value.shape) - 2)


def _by_data(call: Call, weight: object, n_after: int) -> Value | tuple[Value, ...]:
    """Multiply by ``weight`` (gamma, or None), whose axes are followed by ``n_after`` others."""
    call.note(
        f"{call.operation.removeprefix('aten.').removeprefix('native_')} scales by the data, which "
        "the weights do not tell: only its own factors count"
    )
    out = joined(call.values()[:1], call.shape)
    if isinstance(weight, Constant):
        shape = (*weight.shape, *[1] * n_after)
        out = by_constant(out, replace(weight, shape=shape))
    out = cleared(without_shifts(out))
    return (out, *[Value(shape, ()) for shape in call.shapes[1:]]) if len(call.shapes) > 1 else out
