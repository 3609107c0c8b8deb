"""The factors by which hidden neurons of a module can be scaled, found once and applied at will."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.compiling import can_compile
from clusterability.errors import InputError
from clusterability.graph.canonical import Ties, connected_through, log_factors, make_ties
from clusterability.promoting.chain import TARGET, Chain
from clusterability.promoting.parameters import (
    check_not_shared,
    own_parameter,
    plain_chain,
    spread,
)
from clusterability.promoting.places import Norm, Scaled, scaled_parameters
from clusterability.shown import listed, quoted
from clusterability.tracing.assembling import assemble
from clusterability.tracing.examples import inputs_to_trace
from clusterability.tracing.homogeneity import Homogeneity, homogeneity
from clusterability.tracing.modules import (
    Effective,
    returned_by_weight,
    unwrapped,
    walked_program,
)
from clusterability.wiring import Wiring
from clusterability.wiring.kernels import l2
from clusterability.wiring.parameters import widen
from clusterability.wiring.scaling import ScalingPlaces
from clusterability.wiring.weights import weight_strengths


class HiddenScales:
    """The hidden neurons of a module, and what scales each without changing the function.

    It follows the parameters as training changes them; it must be made anew where the module itself
    changes.

    Args:
        model: any module that can be traced.
        example_inputs: arguments of its forward pass; by default guessed from the first layer.

    Raises:
        InputError: if scaling would change the function, or a parameter cannot be scaled.

    >>> from clusterability import toy
    >>> HiddenScales(toy.planted_cnn(), (torch.zeros(1, 1, 8, 8),)).n_groups
    14
    """

    def __init__(self, model: nn.Module, example_inputs: Any = None) -> None:
        model = unwrapped(model)
        inputs = inputs_to_trace(model, example_inputs, None)
        program, walked = walked_program(model, inputs)
        self._model = model
        self._wiring, _ = assemble(walked, ("dense", "input"))
        self._parameters = Effective(model, walked.computed)
        facts = homogeneity(program)
        self._wiring.check(self._parameters)
        check_not_shared(model, self._wiring)
        _check_homogeneous(self._wiring, facts)
        places = ScalingPlaces(self._parameters, self._wiring)
        graph = self._wiring.strengths(self._parameters)
        self._ties = make_ties(graph, places.shared_scale(returned_by_weight(walked)))
        device = next(model.parameters()).device
        self._weights, self._norms = scaled_parameters(
            places, self._wiring, self._ties, facts, device
        )
        self._own = _own_parameters(model, self._weights, self._norms, facts)
        self._order: list[tuple[Tensor, list[int]]] | None = None
        names = [scaled.weight.name for scaled in self._weights]
        self._are_chained = plain_chain(self._wiring) == names and all(
            self._own[name].ndim == 2 for name in names
        )
        # What the network returns keeps its scale.
        self._are_chained &= all(bool((s.outputs >= 0).all()) for s in self._weights[:-1])
        self._kept: tuple[list[int], Chain] | None = None

    @property
    def n_groups(self) -> int:
        """Number of factors: of hidden neurons, counted once where they share one."""
        return self._ties.n_groups

    @torch.no_grad()
    def normalize_(self, target: float = TARGET, *, with_bias: bool = True) -> None:
        """Do what :func:`clusterability.normalize_` does, without tracing again.

        Raises:
            InputError: if a skip connection gives neurons of several layers one scale.
        """
        chain = self._chain()
        if chain is not None:
            chain.normalize_(target, with_bias=with_bias)
            return
        if self._order is None:
            order = _forward_order(self._wiring, self._ties)
            self._order = [(self._of_layers(x), self._reaching(x)) for x in order]
        factors = self._ones()
        for here, reaching in self._order:
            total = torch.zeros_like(factors)
            for i in reaching:
                scaled = self._weights[i]
                _add_into(total, scaled.outputs, self._rows(i, factors))
                self._add_bias(total, scaled.bias, scaled.outputs, with_bias)
            for norm in self._norms:
                self._add_norm(total, norm, factors, with_bias)
            ready = here & (total > 0)
            factors = torch.where(ready, target / total.sqrt(), factors)
        if not bool((factors > 0).all()):  # their squares overflow
            raise InputError(
                "weights are so large or so unequal that their norms overflow; scale them down"
            )
        self.apply_(factors[:-1])

    @torch.no_grad()
    def balance_(self) -> None:
        """Do what :func:`clusterability.balance_` does, without tracing again."""
        graph = self._wiring.strengths(self._parameters).to("cpu")
        double = graph.with_flat_strengths(graph.flat_strengths().double())
        alive = connected_through(double)
        kept = torch.split(alive.double(), double.layer_sizes)
        flat = [
            (b.strengths * kept[b.source][:, None] * kept[b.target]).flatten()
            for b in double.blocks
        ]
        x = log_factors(double.with_flat_strengths(torch.cat(flat)), self._ties)
        logs = torch.zeros(self.n_groups + 1, dtype=torch.float64)
        logs[self._ties.groups] = x
        self.apply_(logs[:-1].exp())

    @torch.no_grad()
    def apply_(self, factors: Tensor) -> None:
        """Multiply what enters the neurons of each group by a factor, and divide what leaves them.

        Args:
            factors: (n_groups,), positive.
        """
        for scaled in self._weights:
            own = self._own[scaled.weight.name]
            padded = torch.cat([factors, factors.new_ones(1)]).to(own.device)
            made, read = padded[scaled.outputs], padded[scaled.inputs].reciprocal()[:, None]
            if scaled.weight.groups > 1:
                own.mul_(spread(scaled.weight, made * read, own.shape).to(own.dtype))
            else:
                if scaled.scales_outputs:
                    own.mul_(spread(scaled.weight, made[None], own.shape).to(own.dtype))
                if scaled.scales_inputs:
                    own.mul_(spread(scaled.weight, read, own.shape).to(own.dtype))
            if scaled.bias is not None:
                bias = self._own[scaled.bias]
                bias.mul_(padded[scaled.outputs].to(bias.dtype))
        for norm in self._norms:
            for name in (norm.scale.weight, norm.bias):
                if name is not None:
                    own = self._own[name]
                    padded = torch.cat([factors, factors.new_ones(1)]).to(own)
                    own.mul_(padded[norm.channels])

    def _chain(self) -> Chain | None:
        """Return the module's weights if they are a chain that is changed faster as one."""
        if not self._are_chained:
            return None
        kernels = [self._own[scaled.weight.name] for scaled in self._weights]
        biases = [self._own.get(scaled.bias or "") for scaled in self._weights]
        made = [self._parameters[scaled.weight.name] for scaled in self._weights]
        if not can_compile(*kernels, *biases) or any(map(_is_other, made, kernels)):
            return None
        key = [t.data_ptr() for t in (*kernels, *biases) if t is not None]
        if self._kept is None or self._kept[0] != key:
            runs = [None if bias is None else bias[None] for bias in biases]
            self._kept = key, Chain([kernel[None] for kernel in kernels], runs)
        return self._kept[1]

    def _ones(self) -> Tensor:
        like = next(iter(self._own.values()))
        return torch.ones(self.n_groups + 1, dtype=torch.float64, device=like.device)

    def _add_bias(self, total: Tensor, name: str | None, groups: Tensor, with_bias: bool) -> None:
        if with_bias and name is not None:
            bias = self._parameters[name].double().square()
            _add_into(total, groups, bias)

    def _add_norm(self, total: Tensor, norm: Norm, factors: Tensor, with_bias: bool) -> None:
        scale = norm.scale.values(self._parameters, total.new_empty(0, 0)).square()
        for i, outputs, channels in norm.feeds:
            added = self._rows(i, factors)[outputs] * scale[channels]
            _add_into(total, norm.channels[channels], added)
        self._add_bias(total, norm.bias, norm.channels, with_bias)

    def _rows(self, i: int, factors: Tensor) -> Tensor:
        """Return the sum of squares into each output of a weight, its inputs scaled already."""
        scaled = self._weights[i]
        weight, parameter = scaled.weight, widen(self._parameters[scaled.weight.name])
        if parameter.ndim == 2 and weight.layout == "out-in" and not scaled.scales_inputs:
            norms: Tensor = torch.linalg.vector_norm(parameter, dim=1)
            return norms.double().square()
        factor = factors[scaled.inputs].square().reciprocal().to(parameter.dtype)
        if parameter.ndim == 2 and weight.layout == "out-in":
            return (parameter.square() @ factor).double()
        return (factor @ weight_strengths(weight, parameter, l2).square_()).double()

    def _reaching(self, layers: frozenset[int]) -> list[int]:
        weights = {c.weight for c in self._wiring.connections if c.target in layers}
        return [i for i, scaled in enumerate(self._weights) if scaled.weight in weights]

    def _of_layers(self, layers: frozenset[int]) -> Tensor:
        sizes = [layer.n_neurons for layer in self._wiring.layers]
        pieces = torch.split(self._ties.groups, sizes)
        found = torch.zeros(self.n_groups + 1, dtype=torch.bool)
        for i in layers:
            found[pieces[i]] = True
        found[-1] = False
        return found.to(next(iter(self._own.values())).device)


def _add_into(total: Tensor, groups: Tensor, values: Tensor) -> None:
    """Add values up by group, those of group -1 into the last place."""
    total.index_add_(0, groups % len(total), values)


def _check_homogeneous(wiring: Wiring, facts: Homogeneity) -> None:
    """Refuse a network in which scaling a hidden neuron would change the function."""
    for connection, reason in facts.refusals(wiring):
        name, layer = connection.weight.name, wiring.layers[connection.source].name
        raise InputError(
            f"the neurons of layer {quoted(layer)} cannot be scaled without a change of the "
            f"function: before {quoted(name)}, {reason}; expected ReLUs, pools, sums and batch "
            "norms between weights; measure with scaling='raw' and leave such a network as it is"
        )


def _own_parameters(
    model: nn.Module, weights: list[Scaled], norms: list[Norm], facts: Homogeneity
) -> dict[str, Tensor]:
    """Return all tensors to scale by name; refuse one that is used elsewhere too."""
    names = [name for scaled in weights for name in (scaled.weight.name, scaled.bias)]
    names += [name for norm in norms for name in (norm.scale.weight, norm.bias)]
    own: dict[str, Tensor] = {}
    for name in dict.fromkeys(names):
        if name is None:
            continue
        own[name] = own_parameter(model, name)
        if facts.uses.get(name) != 1:
            raise InputError(
                f"{quoted(name)} is used in several places of the network, so that it cannot be "
                "scaled; make a copy of it for every place"
            )
        if not bool(own[name].isfinite().all()):
            raise InputError(f"{quoted(name)} holds NaN or infinite values; expected finite ones")
    return own


def _is_other(first: Tensor, second: Tensor) -> bool:
    return first.data_ptr() != second.data_ptr()


def _forward_order(wiring: Wiring, tied: Ties) -> list[frozenset[int]]:
    """Return the layers with common groups from inputs to outputs.

    Raises:
        InputError: if the weights into some neurons depend on their own scale.
    """
    waiting = [layers for layers, _ in tied.bundles]
    number = {layer: i for i, layers in enumerate(waiting) for layer in layers}
    before: Mapping[int, set[int]] = {i: set() for i in range(len(waiting))}
    for connection in wiring.connections:
        if connection.source in number and connection.target in number:
            before[number[connection.target]].add(number[connection.source])
    order: list[int] = []
    is_ready: Callable[[int], bool] = lambda i: i not in order and before[i] <= set(order)  # noqa: E731
    while ready := [i for i in range(len(waiting)) if is_ready(i)]:
        order += ready
    left = set(range(len(waiting))) - set(order)
    if left:
        layers = max((waiting[i] for i in left), key=len)
        names = listed([quoted(wiring.layers[i].name) for i in sorted(layers)])
        raise InputError(
            f"a skip connection gives the neurons of the layers {names} one scale, so that not all "
            "of their weights can have one norm; use balance_, which such networks allow"
        )
    return [waiting[i] for i in order]
