"""Clusterable initialization: weights between neurons of one tag grow, all others shrink.

Source: section 4.2 of Filan et al. (2021). As published, the first weight and, of a CNN, the dense
part stay as they are, hidden neurons have random tags, and outputs have the tags in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clusterability.arguments import number, whole
from clusterability.errors import InputError
from clusterability.promoting.parameters import (
    check_not_shared,
    connections_by_weight,
    own_parameter,
    spread,
    tags_of_weight,
    tied_neurons,
)
from clusterability.promoting.tags import Ends
from clusterability.reading.loaded import InputShape
from clusterability.shown import quoted
from clusterability.tracing.assembling import assemble
from clusterability.tracing.examples import inputs_to_trace
from clusterability.tracing.modules import Effective, unwrapped, walked_program
from clusterability.wiring import Wiring
from clusterability.wiring.connections import Connection


def clusterable_init_(
    model: nn.Module,
    n_tags: int = 10,
    beta: float = 0.6,
    seed: int = 0,
    *,
    example_inputs: Any = None,
    input_shape: InputShape | None = None,
) -> dict[str, Tensor]:
    """Make freshly initialized weights clusterable, in place, and return the neurons' tags.

    Each weight between neurons of different tags is multiplied by ``beta``, and each between
    neurons of the same tag by 1 + (1 - beta) (n_tags - 1), which keeps the mean absolute weight of
    a layer on average. The first weight is left alone, since inputs have no tags, and so is the
    dense part of a CNN. Neurons that a skip connection adds to each other have one tag.

    Source: section 4.2 of Filan et al. (2021).

    Args:
        model: any module that can be traced.
        n_tags: number of tags.
        beta: factor between tags.
        seed: draws the tags.
        example_inputs: arguments of the forward pass; by default guessed from the first layer.
        input_shape: in place of these, the shape of one input without the batch axis, or of each.

    Returns:
        For each layer of the graph but the input, (n_neurons,) int64, from 0 to ``n_tags`` - 1.

    Raises:
        InputError: if an argument is wrong, a hidden layer has fewer neurons than tags, a weight is
            used in several places or computed from others, or the module cannot be traced.

    >>> from clusterability import neuron_graph, normalized_cut, toy
    >>> model = toy.ResidualMLP(width=8, between=1.0)
    >>> tags = clusterable_init_(model, n_tags=2, beta=0.25)
    >>> tags["head"]
    tensor([0, 1, 0, 1, 0, 1, 0, 1])
    >>> labels = torch.cat([torch.arange(8) % 2, *tags.values()])
    >>> round(normalized_cut(neuron_graph(model), labels).item(), 4)
    0.5714
    """
    n_tags = whole("n_tags", n_tags, 2)
    beta = number("beta", beta, above=True, below=1)
    rng = np.random.default_rng(whole("seed", seed, 0))
    return init_with(model, n_tags, beta, rng, inputs_to_trace(model, example_inputs, input_shape))


@torch.no_grad()
def init_with(
    model: nn.Module,
    n_tags: int,
    beta: float,
    rng: np.random.Generator,
    inputs: tuple[Any, ...] | None,
) -> dict[str, Tensor]:
    """Do what :func:`clusterable_init_` does, with tags drawn by a generator."""
    model = unwrapped(model)
    _, walked = walked_program(model, inputs)
    wiring, _ = assemble(walked, ())
    whole_wiring, _ = assemble(walked, ("dense", "input"))
    parameters = Effective(model, walked.computed)
    wiring.check(parameters)
    check_not_shared(model, whole_wiring)
    ends = _ends(wiring, whole_wiring)
    _check_widths(wiring, ends, n_tags)
    tags = _draw_tags(parameters, wiring, ends, n_tags, rng)
    for weight, connections in connections_by_weight(wiring).items():
        factors = _factors(parameters, connections, tags, n_tags, beta)
        parameter = own_parameter(model, weight.name)
        parameter.mul_(spread(weight, factors, parameter.shape).to(parameter))
    return {layer.name: tags[i] for i, layer in enumerate(wiring.layers) if i not in ends.inputs}


def _ends(wiring: Wiring, whole_wiring: Wiring) -> Ends:
    """Find a wiring's ends, those of the wiring that leaves nothing out.

    Its connections are among those of the whole one, in their order.
    """
    same = [whole_wiring.connections[i] for i in wiring.places_in(whole_wiring)]
    numbers: dict[int, int] = {}
    for mine, other in zip(wiring.connections, same, strict=True):
        numbers[mine.source], numbers[mine.target] = other.source, other.target
    whole, layers = Ends.of(whole_wiring), range(len(wiring.layers))
    return Ends(
        frozenset(i for i in layers if numbers[i] in whole.inputs),
        frozenset(i for i in layers if numbers[i] in whole.outputs),
        len(layers),
    )


def _check_widths(wiring: Wiring, ends: Ends, n_tags: int) -> None:
    """Refuse more tags than a hidden layer has neurons; a single output may have one tag."""
    for i, layer in enumerate(wiring.layers):
        if i not in ends.inputs and i not in ends.outputs and layer.n_neurons < n_tags:
            raise InputError(
                f"n_tags is {n_tags}, but layer {quoted(layer.name)} has {layer.n_neurons} "
                f"neurons; pass n_tags <= {layer.n_neurons}, or make it wider"
            )


def _draw_tags(
    parameters: Mapping[str, Tensor],
    wiring: Wiring,
    ends: Ends,
    n_tags: int,
    rng: np.random.Generator,
) -> list[Tensor]:
    """Return the tags of each layer's neurons, -1 of inputs."""
    groups = tied_neurons(parameters, wiring)
    of_group = np.full(int(max(group.max() for group in groups)) + 1, -1)
    for i in ends.outputs:
        of_group[groups[i]] = np.arange(groups[i].size) % n_tags
    free = np.concatenate(
        [mine for i, mine in enumerate(groups) if i not in ends.inputs] or [groups[0][:0]]
    )
    free = free[of_group[free] < 0]
    unique, first = np.unique(free, return_index=True)
    of_group[unique[np.argsort(first)]] = rng.integers(0, n_tags, unique.size)
    for i in ends.inputs:
        groups[i] = np.full_like(groups[i], -1)
    return [torch.from_numpy(np.where(mine < 0, -1, of_group[mine])) for mine in groups]


def _factors(
    parameters: Mapping[str, Tensor],
    connections: Sequence[Connection],
    tags: Sequence[Tensor],
    n_tags: int,
    beta: float,
) -> Tensor:
    """Return the factor of each input and output of a weight, 1 where either has no tag."""
    given, made = tags_of_weight(parameters, connections, tags)
    within = 1 + (1 - beta) * (n_tags - 1)
    factors = torch.where(given[:, None] == made, within, beta).double()
    return torch.where((given[:, None] < 0) | (made < 0), 1.0, factors)
