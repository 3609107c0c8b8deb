"""The wiring of a ``torch.nn.Sequential``, read from its modules without running them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from operator import attrgetter

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from clusterability.errors import InputError
from clusterability.tracing.chain import Operation, chain_wiring, left_out_notes
from clusterability.tracing.effective import effective_parameter, has_unread_hooks
from clusterability.tracing.naming import listed, quoted, split_name
from clusterability.tracing.wiring import BatchNorm, Wiring

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

# Modules whose output i depends on their input i alone, up to statistics over other inputs: they
# have no connections between neurons. Left out on purpose: GLU and PixelShuffle change the number
# of channels, ChannelShuffle their order, and the scales of LayerNorm and GroupNorm need data.
PASSING: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.RReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
    *(nn.Hardshrink, nn.Softshrink, nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink),
    *(nn.Threshold, nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Identity, nn.LocalResponseNorm),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.LPPool1d, nn.LPPool2d, nn.LPPool3d, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
    *(nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    *(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
    *(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
)


def module_wiring(
    module: nn.Module, include: Collection[str] = ()
) -> tuple[Wiring, tuple[str, ...]]:
    """The wiring of a (nested) Sequential of dense layers or convolutions, and notes on it.

    The module is left untouched.

    Raises:
        InputError: if a module in it is of no known kind, or the parts do not chain.
    """
    operations: list[Operation] = []
    notes, hooked = [], []
    flattened = False
    for path, leaf in _leaves(unwrapped(module), ""):
        _check_initialized(path, leaf)
        if _is_kind(leaf, (nn.Linear, *CONVOLUTIONS)):
            operation = _operation(path, leaf)
            _check_flattened(operations, operation, flattened)
            operations.append(operation)
            flattened = False
            if has_unread_hooks(leaf):
                hooked.append(operation.name)
        elif _is_kind(leaf, BATCH_NORMS):
            norm = _batch_norm(path, leaf)
            if operations:
                operations[-1] = _normalized(operations[-1], norm, leaf, flattened)
            else:
                notes.append(
                    f"batch norm {quoted(path)} scales the network's input, which is no strength "
                    "between neurons: ignored"
                )
        elif _is_kind(leaf, (nn.Flatten,)):
            flattened = _flattens_channels(leaf)
        elif not _is_kind(leaf, PASSING):
            raise InputError(_unknown(path, leaf))
    if hooked:
        notes.append(f"forward hooks are not taken into account: those of {listed(hooked)}")
    wiring = chain_wiring(operations, include)
    return wiring, (*notes, *left_out_notes(operations, include))


def module_parameters(module: nn.Module, wiring: Wiring) -> dict[str, Tensor]:
    """The parameters that a wiring names, as they act in evaluation; the module is left untouched.

    A pruned, normalized or parametrized weight is the effective one, not what it is made of.
    """
    module = unwrapped(module)
    parameters = {}
    for name in wiring.parameter_names:
        path, attribute = split_name(name)
        parameters[name] = effective_parameter(module.get_submodule(path), attribute)
    return parameters


def unwrapped(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` and the data-parallel wrappers hold."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        compiled = getattr(module, "_orig_mod", None)
        if isinstance(compiled, nn.Module):
            module = compiled
        elif isinstance(module, parallel):
            module = module.module
        else:
            return module


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Modules of nested Sequentials in the order in which they run, with their paths."""
    if not _is_kind(module, (nn.Sequential,)):
        if not path and not _is_kind(module, (nn.Linear, *CONVOLUTIONS)):
            raise InputError(_not_sequential(module))
        yield path, module
        return
    # named_children() would skip the second use of a shared module.
    for name, child in module._modules.items():
        if child is not None:
            yield from _leaves(child, f"{path}.{name}" if path else name)


def _is_kind(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether the module is of one of these types and runs that type's own forward pass."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)


def _check_initialized(path: str, module: nn.Module) -> None:
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise InputError(
            f"{quoted(path)} is lazy and has no values yet; run the network once on a batch"
        )


def _operation(path: str, module: nn.Module) -> Operation:
    name = path or type(module).__name__
    weight = f"{path}.weight" if path else "weight"
    if isinstance(module, nn.Linear):
        return Operation(name, weight, "dense", module.in_features, module.out_features)
    assert isinstance(module, CONVOLUTIONS)
    if module.groups != 1:
        raise InputError(
            f"{quoted(name)} is a convolution of {module.groups} groups, which this version does "
            "not read; expected groups=1"
        )
    return Operation(name, weight, "conv", module.in_channels, module.out_channels)


def _batch_norm(path: str, module: nn.Module) -> BatchNorm:
    running_var = attrgetter("running_var")(module)
    if running_var is None:
        raise InputError(
            f"batch norm {quoted(path)} keeps no running statistics, which scale the strengths; "
            "train it with track_running_stats=True"
        )
    has_weight = effective_parameter(module, "weight") is not None
    weight = f"{path}.weight" if has_weight else None
    return BatchNorm(path, f"{path}.running_var", float(attrgetter("eps")(module)), weight)


def _normalized(
    operation: Operation, norm: BatchNorm, module: nn.Module, flattened: bool
) -> Operation:
    n_channels = attrgetter("num_features")(module)
    if n_channels != operation.n_out:
        of_pixels = flattened and operation.kind == "conv"
        remedy = "put it before the Flatten" if of_pixels else f"expected {operation.n_out}"
        raise InputError(
            f"batch norm {quoted(norm.name)} has {n_channels} features, but "
            f"{quoted(operation.name)} before it gives {operation.n_out}; {remedy}"
        )
    return replace(operation, norms=(*operation.norms, norm))


def _flattens_channels(module: nn.Module) -> bool:
    # A Flatten from axis 0 is for a single image without a batch axis.
    start, end = attrgetter("start_dim", "end_dim")(module)
    return start in (0, 1) and end == -1


def _check_flattened(operations: list[Operation], operation: Operation, flattened: bool) -> None:
    if not operations or flattened:
        return
    previous = operations[-1]
    if operation.kind == "dense" and previous.kind == "conv":
        raise InputError(
            f"{quoted(operation.name)} follows the convolution {quoted(previous.name)} with no "
            "torch.nn.Flatten() between, so it joins pixels of a row instead of channels; add one"
        )


def _not_sequential(module: nn.Module) -> str:
    name = type(module).__name__
    parts = [path for path, child in module.named_children() if isinstance(child, nn.Sequential)]
    part = f" (model.{parts[0]})" if len(parts) == 1 else ""
    return (
        f"{name} is not a torch.nn.Sequential: its forward pass would have to be traced, which "
        f"this version does not do; pass its Sequential part{part} or its state_dict() to take the "
        "weights as a chain in the order of their names"
    )


def _unknown(path: str, module: nn.Module) -> str:
    kind = "a transposed convolution, " if isinstance(module, TRANSPOSED) else ""
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    return (
        f"{quoted(path)} is {kind}a module of type {name}, which this version does not read; pass "
        'the state_dict() with order=["...", "..."] to name the weights that form a chain'
    )
