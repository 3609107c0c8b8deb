"""Penalties of what joins given clusters of a module's neurons, for the loss of anyone's loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from clusterability.errors import InputError
from clusterability.penalties.pairs import Pairs, cross_share, group_norms, partition_cut
from clusterability.promoting.given_tags import check_tags, checked, most_tags
from clusterability.promoting.live import LiveGraph
from clusterability.promoting.parameters import connections_by_weight, tags_of_weight
from clusterability.reading.loaded import InputShape
from clusterability.shown import described, listed
from clusterability.wiring import Wiring
from clusterability.wiring.kernels import l1
from clusterability.wiring.parameters import widen
from clusterability.wiring.weights import Weight, weight_strengths

WHOLE = ("dense", "input")


class _ClusterPenalty:
    """What the penalties share: a traced module, its tags, and where they lie on its weights."""

    def __init__(
        self,
        model: nn.Module,
        tags: Mapping[str, Tensor],
        *,
        example_inputs: Any = None,
        input_shape: InputShape | None = None,
    ) -> None:
        self._live = LiveGraph(model, example_inputs, input_shape, WHOLE, "l1")
        known = known_tags(tags, self._live.wiring)
        self._n_clusters = most_tags(known)
        self._of_layers = fill_tags(known, self._live.wiring)
        self._device: torch.device | None = None
        self._placed: list[Pairs] = []
        # Refuses tags that do not fit the weights.
        self._weights = tagged_weights(self._live.parameters, self._live.wiring, self._of_layers)
        with torch.no_grad():
            self()

    def __call__(self) -> Tensor:
        """Return the penalty, a scalar on the model's device."""
        with torch.autocast(self._live.device_type, enabled=False):
            value = self._value()
        if not bool(value.isfinite()):
            self._live.check()
            raise InputError("the weights are so large that the penalty overflows; scale them")
        return value

    def _value(self) -> Tensor:
        raise NotImplementedError

    def _pairs(self, device: torch.device) -> list[Pairs]:
        """Return where the tags lie, on a device."""
        if device != self._device:
            self._device = device
            self._placed = [
                Pairs(rows[None].to(device), columns[None].to(device), self._n_clusters)
                for rows, columns in self._ends()
            ]
        return self._placed

    def _ends(self) -> list[tuple[Tensor, Tensor]]:
        """Return the tags of the inputs and the outputs of each weight with both."""
        return [ends for _, ends in self._weights]

    def _squares(self) -> list[Tensor]:
        """Return the sum of squares of each slice of these weights, (n_inputs, n_outputs)."""
        weights = ((w, widen(self._live.parameters[w.name])) for w, _ in self._weights)
        return [weight_strengths(weight, value.square(), l1) for weight, value in weights]


class GroupLasso(_ClusterPenalty):
    """The group lasso on the blocks of weights between clusters, which shrink as wholes.

    It is the sum over layers l and clusters c != c' of ``sqrt(n_lcc') ||W_lcc'||``.

    W_lcc' are the weights of layer l from cluster c to cluster c', n_lcc' their number, which for a
    dense layer is the product of the clusters' neurons. Weights inside a cluster are free. It
    follows the parameters, has its gradient in closed form (0 for a block of zeros), and flows to
    what is behind masks and parametrizations, as :class:`clusterability.EigenvaluePenalty`.

    Source: Yuan and Lin (2006), on blocks between clusters.

    Args:
        model: any module whose forward pass does not branch on its data.
        tags: of :func:`clusterability.cluster_tags`: the cluster of each neuron of some layers.
        example_inputs: as of :func:`clusterability.measure`.
        input_shape: as of :func:`clusterability.measure`.

    Raises:
        InputError: if the module cannot be traced, tags do not fit it or leave a layer without a
            cluster, or weights are NaN; at a call also if the module has changed since.

    >>> from clusterability import cluster_tags, toy
    >>> model = toy.ResidualMLP()
    >>> GroupLasso(model, cluster_tags(model, 2))()
    tensor(22.7403, grad_fn=<_OfSumsBackward>)
    """

    def _value(self) -> Tensor:
        squares = self._squares()
        pairs = self._pairs(squares[0].device)
        factors = self._factors(pairs)

        def norms(sums: Tensor) -> tuple[Tensor, Tensor]:
            values, slope = group_norms(sums, factors.to(sums))
            # That of the squares is half of that of the weights divided by these.
            return values.sum(), slope / 2

        return of_sums(pairs, norms, squares)

    @torch.no_grad()
    def _factors(self, pairs: Sequence[Pairs]) -> Tensor:
        """Return the root of the number of weights between two clusters, 0 inside one."""
        found = []
        for (weight, _), each in zip(self._weights, pairs, strict=True):
            ones = torch.ones_like(widen(self._live.parameters[weight.name]))
            numbers = each.sums(weight_strengths(weight, ones, l1)[None])[0]
            found.append(numbers.sqrt().fill_diagonal_(0).float())
        return torch.stack(found)


class CrossClusterLoss(_ClusterPenalty):
    """The share of squared weights between clusters, summed over the layers, for comparison.

    It is the sum over layers l of ``1 - sum_c ||W_lcc||^2 / ||W_l||^2``.

    It is no way to get modules that work alone: a share falls as well when the weights inside
    grow, and many small weights between clusters, which it hardly sees, go on carrying the
    function. :class:`GroupLasso` makes these blocks vanish.

    Source: the clusterability loss of Golechha et al. (2025), with tags that are given.

    Args:
        model, tags, example_inputs, input_shape: as of :class:`GroupLasso`.

    Raises:
        InputError: as :class:`GroupLasso`.

    >>> from clusterability import cluster_tags, toy
    >>> model = toy.ResidualMLP()
    >>> CrossClusterLoss(model, cluster_tags(model, 2))()
    tensor(2., grad_fn=<_OfSumsBackward>)
    """

    def _value(self) -> Tensor:
        squares = self._squares()
        pairs = self._pairs(squares[0].device)
        return of_sums(pairs, cross_share, squares)


class PartitionPenalty(_ClusterPenalty):
    """The n-cut of given clusters, over the layers that have tags.

    It falls as well when the strengths inside clusters grow, so that a low value alone says little:
    :func:`clusterability.validate_clusters` tells what the network loses by the cut. With a weight
    of 1 from the first step on the paper's MLPs lose nothing (docs/modular.md).

    Args:
        model, tags, example_inputs, input_shape: as of :class:`GroupLasso`.

    Raises:
        InputError: as :class:`GroupLasso`.

    >>> from clusterability import cluster_tags, toy
    >>> model = toy.ResidualMLP()
    >>> PartitionPenalty(model, cluster_tags(model, 2))()
    tensor(1., grad_fn=<_OfSumsBackward>)
    """

    def _value(self) -> Tensor:
        blocks = self._live.graph().blocks
        strengths = [blocks[i].strengths for i in self._tagged_blocks()]

        def cut(sums: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = partition_cut(sums.sum(0))
            return value, slope.expand_as(sums)

        return of_sums(self._pairs(strengths[0].device), cut, strengths)

    def _tagged_blocks(self) -> list[int]:
        """Return the numbers of the blocks whose layers both have tags."""
        connections = self._live.wiring.connections
        has = [bool((tags >= 0).any()) for tags in self._of_layers]
        return [i for i, c in enumerate(connections) if has[c.source] and has[c.target]]

    def _ends(self) -> list[tuple[Tensor, Tensor]]:
        connections = self._live.wiring.connections
        chosen = (connections[i] for i in self._tagged_blocks())
        return [(self._of_layers[c.source], self._of_layers[c.target]) for c in chosen]


def known_tags(tags: Any, wiring: Wiring) -> dict[str, Tensor]:
    """Return tags that fit the layers of a wiring, each cluster in every layer.

    Raises:
        InputError: if they do not.
    """
    if not isinstance(tags, Mapping):
        raise InputError(
            f"tags are {described(tags)}, expected a mapping from layers to their neurons' tags; "
            "cluster_tags(model, tags) makes one"
        )
    found = checked(tags, wiring)
    check_tags(found, wiring)
    return found


def fill_tags(tags: Mapping[str, Tensor], wiring: Wiring) -> list[Tensor]:
    """Return the tags of each layer of a wiring, -1 where there are none."""
    return [tags.get(layer.name, torch.full((layer.n_neurons,), -1)) for layer in wiring.layers]


def tagged_weights(
    parameters: Mapping[str, Tensor], wiring: Wiring, of_layers: Sequence[Tensor]
) -> list[tuple[Weight, tuple[Tensor, Tensor]]]:
    """Return the weights with tags at both ends, and the tags of their inputs and outputs.

    Raises:
        InputError: if there is none, or tied neurons have different tags.
    """
    found = []
    for weight, connections in connections_by_weight(wiring).items():
        given, made = tags_of_weight(parameters, connections, of_layers)
        if bool((given >= 0).any()) and bool((made >= 0).any()):
            found.append((weight, (given, made)))
    if not found:
        names = [wiring.layers[i].name for i, tags in enumerate(of_layers) if (tags >= 0).any()]
        raise InputError(
            f"no weight joins two layers with tags; there are tags of {listed(names)} alone: give "
            "more layers tags, as cluster_tags(model, k, layers='hidden+outputs') does"
        )
    return found


Sums = Callable[[Tensor], tuple[Tensor, Tensor]]


def of_sums(pairs: Sequence[Pairs], function: Sums, matrices: Sequence[Tensor]) -> Tensor:
    """Return a function of the sums of matrices over pairs of clusters, differentiable.

    Args:
        pairs: the tags of each matrix.
        function: from sums (n_matrices, k, k) to a scalar and its derivative, (n_matrices, k, k).
        matrices: (n_rows, n_columns) each.
    """
    value: Tensor = _OfSums.apply(pairs, function, *matrices)  # type: ignore[no-untyped-call]
    return value


class _OfSums(torch.autograd.Function):
    """A function of sums whose derivative is known."""

    @staticmethod
    def forward(ctx: Any, pairs: Sequence[Pairs], function: Sums, *matrices: Tensor) -> Tensor:
        dtype = reduce(torch.promote_types, (matrix.dtype for matrix in matrices))
        each = zip(pairs, matrices, strict=True)
        value, slope = function(torch.stack([p.sums(m[None])[0].to(dtype) for p, m in each]))
        ctx.pairs, ctx.dtypes = pairs, [matrix.dtype for matrix in matrices]
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        needed = ctx.needs_input_grad[2:]
        slopes = (s.to(dtype) for s, dtype in zip(weight * slope, ctx.dtypes, strict=True))
        each = zip(ctx.pairs, slopes, needed, strict=True)
        return None, None, *(p.spread(s[None])[0] if needs else None for p, s, needs in each)
