"""Pruning that empties what is between clusters first, of any module, in anyone's loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.arguments import number
from clusterability.errors import InputError
from clusterability.promoting.cluster_penalties import fill_tags, known_tags
from clusterability.promoting.given_tags import most_tags
from clusterability.promoting.masks import cubic, emptied, prune
from clusterability.promoting.parameters import (
    check_not_shared,
    connections_by_weight,
    own_parameter,
    spread,
    tags_of_weight,
)
from clusterability.promoting.tags import whole_wiring
from clusterability.reading.loaded import InputShape
from clusterability.shown import described, listed, quoted
from clusterability.tracing.examples import inputs_to_trace
from clusterability.tracing.modules import unwrapped


class ModularPruning:
    """Masks that empty the weights between clusters first, and then the smallest of the others.

    The network of the layers that have tags falls apart into clusters, so that its n-cut is 0 and
    nothing is lost when they are cut apart. It is best begun with a trained network, and followed
    by training: call :meth:`step` with the share of the fine-tuning that has passed, every few
    optimizer steps, and :meth:`apply_` after each one.

    At a share p, the number of zeros in each weight is that of Zhu and Gupta's cubic schedule, or,
    of the weights between clusters, the share 1 - (1 - min(1, p / 0.3))^3 / 2, if that is more. All
    of them are gone at p = 0.3. A weight without tags at both ends is pruned by magnitude alone. In
    a convolution each kernel between channels of different clusters goes whole.

    Args:
        model: any module that can be traced; its weights are changed in place, frozen ones too.
        tags: of :func:`clusterability.cluster_tags`: the cluster of each neuron of some layers.
        final_sparsity: share of zeros at the end. Where more weights are between clusters, these
            are the zeros; :attr:`final_sparsities` says how many each weight ends with.
        initial_sparsity: share of zeros at the first step.
        example_inputs: arguments of the forward pass; by default guessed from the first layer.
        input_shape: in place of these, the shape of one input without the batch axis, or of each.

    Attributes:
        masks: for each weight, 1 where it is kept and 0 elsewhere; ones before the first step.

    Raises:
        InputError: if tags do not fit or leave a layer without a cluster, the sparsity leaves a
            weight with fewer entries than clusters, a weight is used in several places, computed
            from others or NaN, or the module cannot be traced.

    >>> from clusterability import cluster_tags, measure, toy
    >>> model = toy.ResidualMLP(width=8, between=0.4)
    >>> pruning = ModularPruning(model, cluster_tags(model, 2, "all"), 0.3, initial_sparsity=0.2)
    >>> for step in range(11):
    ...     pruning.step(step / 10)
    >>> round(measure(model, n_clusters=2, n_shuffles=0).ncut, 4), pruning.notes[0]
    (0.0, "'stem.weight' ends with 50.0 % zeros, all between clusters, not 30.0 %")
    """

    def __init__(
        self,
        model: nn.Module,
        tags: Mapping[str, Tensor],
        final_sparsity: float = 0.9,
        *,
        initial_sparsity: float = 0.5,
        example_inputs: Any = None,
        input_shape: InputShape | None = None,
    ) -> None:
        self._final = number("final_sparsity", final_sparsity, below=1)
        self._initial = number("initial_sparsity", initial_sparsity, below=1)
        if self._initial > self._final:
            raise InputError(
                f"initial_sparsity is {self._initial:g}, above the final_sparsity of "
                f"{self._final:g}; pruned weights do not come back, so give at most that"
            )
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {described(model)}, expected a torch.nn.Module")
        self._model = unwrapped(model)
        inputs = inputs_to_trace(self._model, example_inputs, input_shape)
        wiring, parameters = whole_wiring(self._model, inputs)
        self._parameters = parameters
        wiring.check(parameters)
        check_not_shared(self._model, wiring)
        known = known_tags(tags, wiring)
        of_layers = fill_tags(known, wiring)
        self._between: dict[str, Tensor | None] = {}
        self.masks: dict[str, Tensor] = {}
        self._progress = -1.0
        for weight, connections in connections_by_weight(wiring).items():
            given, made = tags_of_weight(parameters, connections, of_layers)
            apart = (given[:, None] != made) & (given >= 0)[:, None] & (made >= 0)
            own = own_parameter(self._model, weight.name)
            where = spread(weight, apart, own.shape).to(own.device).expand(own.shape)
            self._between[weight.name] = where if bool(apart.any()) else None
            self.masks[weight.name] = torch.ones_like(own, requires_grad=False)
        if not any(where is not None for where in self._between.values()):
            raise InputError(
                f"no weight joins two layers with tags; there are tags of {listed(list(known))} "
                "alone: give more layers tags, as cluster_tags(model, k, layers='all') does"
            )
        self._check_room(most_tags(known))

    @property
    def final_sparsities(self) -> dict[str, float]:
        """Share of zeros with which each weight ends: the final one, or what is between."""
        return {name: self._n_zeros(name, 1.0) / mask.numel() for name, mask in self.masks.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each weight that ends with more zeros than the final sparsity."""
        found = []
        for name, share in self.final_sparsities.items():
            where = self._between[name]
            if where is not None and int(where.sum()) > round(self._final * where.numel()):
                found.append(
                    f"{quoted(name)} ends with {100 * share:.1f} % zeros, all between clusters, "
                    f"not {100 * self._final:.1f} %"
                )
        return tuple(found)

    @torch.no_grad()
    def step(self, progress: float) -> None:
        """Make the masks for a share of the pruning that has passed, and apply them.

        Args:
            progress: from 0 to 1, never less than before: what is pruned does not come back.

        Raises:
            InputError: if it is outside or less than before, or weights are NaN.
        """
        progress = number("progress", progress)
        if progress > 1 or progress < self._progress:
            least = max(0.0, self._progress)
            raise InputError(
                f"progress is {progress:g}, expected at least {least:g}, as before, and at most 1, "
                "the share of the pruning that has passed"
            )
        sparsity = cubic(progress, self._initial, self._final)
        for name, where in self._between.items():
            own = own_parameter(self._model, name)
            if not bool(own.isfinite().all()):
                raise InputError(f"{quoted(name)} holds NaN or infinite weights; train with less")
            first = None if where is None else where.to(own.device)[None]
            acting = self._parameters[name] * self.masks[name].to(own)  # a mask of torch's acts too
            kept = prune(acting[None], sparsity, first, emptied(progress))
            self.masks[name] = kept[0]
        self._progress = progress
        self.apply_()

    @torch.no_grad()
    def apply_(self) -> None:
        """Set what is pruned to 0 again, as after each step of an optimizer."""
        for name, mask in self.masks.items():
            own = own_parameter(self._model, name)
            own.mul_(mask.to(own))

    def state_dict(self) -> dict[str, Any]:
        """Return the progress and the masks, for a checkpoint."""
        return {"progress": self._progress, "masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned.

        Raises:
            InputError: if it is none, or of another module.
        """
        masks = state.get("masks") if isinstance(state, Mapping) else None
        if (
            not isinstance(masks, Mapping)
            or set(masks) != set(self.masks)
            or any(
                not isinstance(mask, Tensor)
                or mask.shape != self.masks[name].shape
                or not bool(((mask == 0) | (mask == 1)).all())
                for name, mask in masks.items()
            )
        ):
            raise InputError(
                f"the state is {described(state)}, expected the state_dict() of a ModularPruning "
                "of this module"
            )
        self._progress = number("progress", state.get("progress"), -1.0, below=1 + 1e-9)
        self.masks = {name: mask.clone() for name, mask in masks.items()}

    def _n_zeros(self, name: str, progress: float) -> int:
        where, n = self._between[name], self.masks[name].numel()
        n_zeros = round(cubic(progress, self._initial, self._final) * n)
        if where is None:
            return n_zeros
        return max(n_zeros, round(emptied(progress) * int(where.sum())))

    def _check_room(self, n_clusters: int) -> None:
        """Refuse a sparsity that leaves fewer weights than clusters, each of which needs one."""
        for name, where in self._between.items():
            n_left = self.masks[name].numel() - self._n_zeros(name, 1.0)
            if where is not None and n_left < n_clusters:
                raise InputError(
                    f"final_sparsity is {self._final:g}, which leaves {n_left} weights of "
                    f"{quoted(name)} to {n_clusters} clusters; each needs one at least: give a "
                    "lower sparsity, or fewer clusters"
                )
