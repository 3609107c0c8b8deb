"""A copy of a module from which clusters of neurons are taken out, or whose clusters are cut apart.

The module itself is never changed: lesions and cuts are made in a copy in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from clusterability.errors import InputError
from clusterability.graph.canonical import connected_through
from clusterability.promoting.cluster_penalties import fill_tags
from clusterability.promoting.parameters import (
    connections_by_weight,
    read_neurons,
    spread,
    tags_of_weight,
)
from clusterability.promoting.tags import Ends, whole_wiring
from clusterability.shown import quoted, shown
from clusterability.tracing.effective import effective_parameter
from clusterability.tracing.exporting import check_traceable, evaluating_copy
from clusterability.tracing.naming import split_name
from clusterability.wiring.weights import Weight

Inputs = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class _Reader:
    """A module whose weight reads hidden neurons.

    Attributes:
        neurons: (n_inputs,) number of the neuron that each input reads, -1 for none that is hidden.
        mean: of its input over all samples, without the batch axis.
    """

    module: nn.Module
    neurons: Tensor
    mean: Tensor


class Subject:
    """A copy of a module, its inputs, and what its weights read.

    Args:
        model: any module that can be traced.
        inputs: arguments of its forward pass, tensors with a batch axis each.
        batch_size: samples in one forward pass.
        traced: another of the same module, whose wiring is taken, so that none is traced.

    Raises:
        InputError: if the module cannot be traced or copied, or its weights are used in several
            places, or outside of linear layers and convolutions.
    """

    def __init__(
        self, model: nn.Module, inputs: Inputs, batch_size: int, traced: Subject | None = None
    ) -> None:
        check_traceable(model)
        self._twin = _own_copy(model)
        if traced is None:
            example = tuple(x[:1] if isinstance(x, Tensor) else x for x in inputs)
            self.wiring, self._parameters = whole_wiring(self._twin, example)
        else:
            self.wiring, self._parameters = traced.wiring, traced._parameters.of(self._twin)
        self.wiring.check(self._parameters)
        self._inputs, self._batch_size = inputs, batch_size
        self.offsets = np.cumsum([0, *(layer.n_neurons for layer in self.wiring.layers)])
        self.hidden = Ends.of(self.wiring).layers("hidden")
        self._readers: list[_Reader] = []
        self.n_classes = self._read()

    @torch.no_grad()
    def predictions(self) -> Tensor:
        """Return the class with the largest output for each input, (n,), on the CPU."""
        return torch.cat([self._checked(y).argmax(1).cpu() for y in self._forward()])

    def live_neurons(self) -> Tensor:
        """Return the neurons on a path from an input to an output, (n_neurons,) bool."""
        return connected_through(self.wiring.strengths(self._parameters).to("cpu"))

    @contextmanager
    def without(self, gone: Tensor) -> Iterator[None]:
        """Let all that is read of some neurons be its mean over the inputs.

        Args:
            gone: (n_neurons,) bool; inputs and outputs of the network stay.
        """
        handles = []
        try:
            for reader in self._readers:
                chosen = (reader.neurons >= 0) & gone[reader.neurons]
                if bool(chosen.any()):
                    hook = _means_in_place(reader, chosen.to(reader.mean.device))
                    handles.append(reader.module.register_forward_pre_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def cut(self, tags: dict[str, Tensor], folded: bool) -> int:
        """Set every weight between clusters to 0 for good, and return how many were not.

        Args:
            tags: the cluster of each neuron by layer, -1 for none.
            folded: whether the mean of what is cut goes into the biases.
        """
        of_layers = fill_tags(tags, self.wiring)
        means = {id(reader.module): reader.mean for reader in self._readers}
        n_cut = 0
        for weight, connections in connections_by_weight(self.wiring).items():
            given, made = tags_of_weight(self._parameters, connections, of_layers)
            between = (given[:, None] != made) & (given >= 0)[:, None] & (made >= 0)
            if not bool(between.any()):
                continue
            module = self._module(weight)
            part = module.weight * spread(weight, between, module.weight.shape).to(module.weight)
            n_cut += int(part.count_nonzero())
            if folded:
                _fold(module, part, means[id(module)])
            module.weight.sub_(part)
        return n_cut

    def _read(self) -> int:
        """Find the modules that read neurons, and what they read; return the number of classes."""
        sums: dict[str, Tensor] = {}
        found: dict[str, tuple[nn.Module, Tensor]] = {}
        is_hidden = torch.zeros(int(self.offsets[-1]), dtype=torch.bool)
        for layer in self.hidden:
            is_hidden[int(self.offsets[layer]) : int(self.offsets[layer + 1])] = True
        for weight, connections in connections_by_weight(self.wiring).items():
            neurons = read_neurons(self._parameters, connections, self.offsets.tolist())
            neurons = torch.where(is_hidden[neurons] & (neurons >= 0), neurons, -1)
            found[weight.name] = self._module(weight), neurons
        handles = [
            module.register_forward_pre_hook(_adding_up(name, sums))
            for name, (module, _) in found.items()
        ]
        try:
            sizes = [self._checked(y).shape for y in self._forward()]
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = shown(str(error).partition("\n")[0], 160)
            raise InputError(
                f"the network cannot be run on the inputs ({reason}); check their shape and type"
            ) from None
        finally:
            for handle in handles:
                handle.remove()
        for name in found.keys() - sums.keys():
            raise InputError(
                f"{quoted(name)} is used without a call of its module, so that what it reads "
                "cannot be taken out; call the module"
            )
        n_samples = sum(size[0] for size in sizes)
        self._readers = [
            _Reader(module, neurons, sums[name] / n_samples)
            for name, (module, neurons) in found.items()
        ]
        return int(sizes[0][1])

    def _forward(self) -> Iterator[Tensor]:
        n = next(len(x) for x in self._inputs if isinstance(x, Tensor))
        for first in range(0, n, self._batch_size):
            last = first + self._batch_size
            batch = (x[first:last] if isinstance(x, Tensor) else x for x in self._inputs)
            with torch.no_grad():
                yield self._twin(*batch)

    def _checked(self, outputs: Any) -> Tensor:
        """Refuse outputs that are no numbers for each class."""
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or outputs.shape[1] < 2:
            shape = getattr(outputs, "shape", None)
            kind = type(outputs).__name__ if shape is None else f"of shape {tuple(shape)}"
            raise InputError(
                f"the network's output is {kind}, expected (n_inputs, n_classes) with two classes "
                "or more"
            )
        if not bool(outputs.isfinite().all()):
            raise InputError(
                "the network's outputs are NaN or infinite; check its weights and the inputs"
            )
        return outputs

    def _module(self, weight: Weight) -> Any:
        path, attribute = split_name(weight.name)
        try:
            module: nn.Module | None = self._twin.get_submodule(path)
        except AttributeError:
            module = None
        if not isinstance(module, nn.Linear | _ConvNd) or attribute != "weight":
            raise InputError(
                f"{quoted(weight.name)} is not the weight of a torch.nn.Linear or a convolution, "
                "so that what it reads cannot be taken out; make it one"
            )
        return module


def _own_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode with tensors of its own, and plain weights.

    Statistics of batch norms are copied too, and no hook of the model runs.
    """
    twin = evaluating_copy(model)
    for part in list(twin.modules()):
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(value.detach().clone(), False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.detach().clone()
    for part in list(twin.modules()):
        if parametrize.is_parametrized(part):
            _make_plain(part)
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin


@torch.no_grad()
def _make_plain(part: nn.Module) -> None:
    """Put parameters in place of the parametrizations of one module.

    Torch's own function would take the attribute out of the class, which is the original's too.
    """
    names = list(part.parametrizations)  # type: ignore[arg-type]
    values = {name: effective_parameter(part, name).clone() for name in names}
    del part.parametrizations
    part.__class__ = parametrize.type_before_parametrizations(part)
    for name, value in values.items():
        part.register_parameter(name, nn.Parameter(value, False))


def _adding_up(name: str, sums: dict[str, Tensor]) -> Callable[[nn.Module, Inputs], None]:
    def hook(_module: nn.Module, inputs: Inputs) -> None:
        total = inputs[0].detach().sum(0, dtype=torch.promote_types(inputs[0].dtype, torch.float32))
        sums[name] = sums[name] + total if name in sums else total

    return hook


def _means_in_place(reader: _Reader, chosen: Tensor) -> Callable[[nn.Module, Inputs], Inputs]:
    """Return a hook that puts the mean in place of some inputs of a module."""
    n_after = 0 if isinstance(reader.module, nn.Linear) else reader.mean.ndim - 1
    shaped = chosen.view(-1, *[1] * n_after)

    def hook(_module: nn.Module, inputs: Inputs) -> Inputs:
        x, *rest = inputs
        return torch.where(shaped, reader.mean.to(x), x), *rest

    return hook


@torch.no_grad()
def _fold(module: Any, part: Tensor, mean: Tensor) -> None:
    """Add to a module's bias what a part of its weight gives for the mean of its inputs."""
    weight, bias = module.weight, module.bias
    module.weight, module.bias = nn.Parameter(part, False), None
    given = module(mean[None].to(part))
    axis = given.ndim - 1 if isinstance(module, nn.Linear) else 1
    constant = given.mean([i for i in range(given.ndim) if i != axis])
    module.weight = weight
    module.bias = nn.Parameter(constant if bias is None else bias + constant, False)


def permuted(
    labels: NDArray[np.int64],
    layers: Sequence[tuple[int, int]],
    alive: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return labels permuted among the living neurons of each layer that have one.

    Args:
        labels: (n_neurons,).
        layers: first neuron and end of each.
        alive: (n_neurons,).
        rng: draws the order.
    """
    found = labels.copy()
    for first, end in layers:
        held = first + np.flatnonzero(alive[first:end] & (labels[first:end] >= 0))
        found[held] = labels[rng.permutation(held)]
    return found
