"""The wiring of a PyTorch module, traced once, and its effective parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.errors import InputError
from clusterability.shown import listed
from clusterability.tracing.assembling import Assembly
from clusterability.tracing.chains.chain import check_include
from clusterability.tracing.computed import Computed
from clusterability.tracing.decomposing import decomposed
from clusterability.tracing.effective import effective_parameter, has_unread_hooks
from clusterability.tracing.examples import inferred_inputs
from clusterability.tracing.exporting import exported
from clusterability.tracing.homogeneity import homogeneity
from clusterability.tracing.naming import split_name
from clusterability.tracing.outputs import returned_channels
from clusterability.tracing.walking import Walked, walk
from clusterability.wiring.collecting import without_collections
from clusterability.wiring.scaling import ScalingPlaces
from clusterability.wiring.wiring import Wiring


@dataclass(frozen=True, eq=False)
class TracedModule:
    """A module's wiring, and its parameters by the names that the wiring uses.

    ``wiring.graph(parameters)`` reads the parameters when it is called, so it follows training.
    ``n_outputs`` is the width of a single output (batch, width); None for outputs of other forms.
    ``rescalable`` is the wiring with nothing left out if hidden neurons can be scaled such that the
    function stays, else None. ``returned`` are the outputs of weights, by name, that the network
    returns.
    """

    wiring: Wiring
    parameters: Mapping[str, Tensor]
    notes: tuple[str, ...]
    n_outputs: int | None = None
    rescalable: Wiring | None = None
    returned: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def shared_scale(self) -> Tensor:
        """Return which neurons of ``rescalable`` have one factor, as ``NeuronGraph`` has it.

        Raises:
            InputError: if one cannot be scaled.
        """
        assert self.rescalable is not None
        places = ScalingPlaces(self.parameters, self.rescalable)
        return torch.from_numpy(places.shared_scale(self.returned))


def trace_module(
    module: nn.Module,
    example_inputs: tuple[Any, ...] | None = None,
    include: Collection[str] = (),
) -> TracedModule:
    """Trace a module's forward pass in evaluation mode; the module is left untouched.

    Args:
        module: any module whose forward pass does not branch on its data.
        example_inputs: arguments of the forward pass; only shapes and types matter. By default
            guessed from the first weight layer.
        include: for a CNN, ``"input"`` and ``"dense"`` add the image and the dense head.

    Raises:
        InputError: if the module cannot be traced, an operation cannot be followed, or no layers
            are joined.
    """
    check_include(include)
    module = unwrapped(module)
    if example_inputs is None:
        example_inputs, note = inferred_inputs(module)
        try:
            traced = trace_module(module, example_inputs, include)
        except InputError as error:
            raise InputError(f"{error} ({note}; give example_inputs if that is wrong)") from None
        return replace(traced, notes=(note, *traced.notes))
    program = decomposed(exported(module, example_inputs))
    with without_collections():
        return _wired(module, program, include)


def _wired(
    module: nn.Module, program: torch.export.ExportedProgram, include: Collection[str]
) -> TracedModule:
    """Return the wiring of a module's forward pass and its parameters."""
    notes = []
    walked = _walked(module, program)
    assembly = Assembly(walked)
    wiring, more = assembly.wiring(include)
    hooked = [path or "the network" for path, m in module.named_modules() if has_unread_hooks(m)]
    if hooked:
        notes.append(f"forward hooks are not taken into account: those of {listed(hooked)}")
    parameters = Effective(module, walked.computed)
    rescalable = _rescalable(program, assembly, wiring)
    scaling = rescalable, {} if rescalable is None else returned_by_weight(walked)
    return TracedModule(wiring, parameters, (*notes, *more), _n_outputs(program), *scaling)


def _rescalable(
    program: torch.export.ExportedProgram, assembly: Assembly, wiring: Wiring
) -> Wiring | None:
    """Return the wiring with nothing left out if every hidden neuron can be scaled."""
    scaling = homogeneity(program)
    if not scaling.allows_scaling(wiring):  # nor does it allow the whole, whose part this is
        return None
    if not wiring.left_out:
        return wiring
    try:
        whole, _ = assembly.wiring(("dense", "input"))
    except InputError:
        return None
    return whole if scaling.allows_scaling(whole) else None


def returned_by_weight(walked: Walked) -> dict[str, list[int]]:
    """Return the outputs of each weight that arrive at the network's outputs, by its name."""
    returned = returned_channels(walked.outputs)
    return {walked.operations[i].weight.name: channels for i, channels in returned.items()}


def walked_program(
    module: nn.Module, example_inputs: tuple[Any, ...] | None
) -> tuple[torch.export.ExportedProgram, Walked]:
    """Return a module's forward pass as a program, and what a walk through it finds.

    Without inputs they are guessed.

    Raises:
        InputError: if the module cannot be traced, or an operation cannot be followed.
    """
    inputs = inferred_inputs(module)[0] if example_inputs is None else example_inputs
    program = decomposed(exported(module, inputs))
    return program, _walked(module, program)


def _walked(module: nn.Module, program: torch.export.ExportedProgram) -> Walked:
    return walk(program, Effective(module), _owners(module))


def _n_outputs(program: torch.export.ExportedProgram) -> int | None:
    returned = list(program.graph_signature.user_outputs)  # torch makes it anew at each look
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in returned]
    return int(shapes[0][1]) if len(shapes) == len(returned) == 1 and len(shapes[0]) == 2 else None


def _owners(module: nn.Module) -> dict[str, frozenset[str]]:
    """Return the paths of the modules that share each weight, by each of its names."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if split_name(name)[1] == "weight":
            names.setdefault(id(parameter), []).append(name)
    shared = [found for found in names.values() if len(found) > 1]
    return {
        name: frozenset(split_name(same)[0] for same in found) for found in shared for name in found
    }


class Effective(Mapping[str, Tensor]):
    """The effective parameters of a module, and the tensors that it computes from these alone.

    A pruned, normalized or parametrized weight is the one that acts in evaluation, not the tensors
    from which it is computed.
    """

    def __init__(self, module: nn.Module, computed: Computed | None = None) -> None:
        self._module, self._computed = module, computed

    def of(self, module: nn.Module) -> Effective:
        """Return those of another module with the same forward pass."""
        return Effective(module, self._computed)

    def __getitem__(self, name: str) -> Tensor:
        if self._computed is not None and name in self._computed.reshaped:
            source, rearranged = self._computed.reshaped[name]
            return rearranged(self[source])
        if self._computed is not None and name in self._computed.nodes:
            found: Tensor = self._computed.evaluate(self._computed.nodes[name], self)
            return found
        path, attribute = split_name(name)
        try:
            module = attrgetter(path)(self._module) if path else self._module
            parameter: Tensor = effective_parameter(module, attribute)
        except AttributeError:
            raise KeyError(name) from None
        return parameter

    def __iter__(self) -> Iterator[str]:
        yield from dict(self._module.named_parameters())

    def __len__(self) -> int:
        return len(dict(self._module.named_parameters()))


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside the wrappers of ``torch.compile`` and of data parallelism."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        compiled = getattr(module, "_orig_mod", None)
        if isinstance(compiled, nn.Module):
            module = compiled
        elif isinstance(module, parallel):
            module = module.module
        else:
            return module
