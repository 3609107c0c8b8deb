"""MLPs stacked along a leading axis, and their gradient written out.

Differs from modules that are trained with autograd and :class:`torch.optim.Adam` in that

1. all weights and biases of all networks are views of one flat tensor, which Adam goes over once;
2. a layer takes one product forward and two backward for all networks together, so that small
   networks keep a GPU busy;
3. no graph of the computation is recorded, and activations and gradients go into buffers that are
   made once for each batch size, since at the paper's batches this bookkeeping costs much beside
   the products;
4. dropout draws from a generator for each network, so that in a stack a network's weights differ
   from those that it would have alone by rounding only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import chain, pairwise

import torch
from torch import Tensor, nn

from clusterability.promoting.chain import Chain
from clusterability.promoting.masks import prune
from clusterability.training.clusters import KernelClusters
from clusterability.training.dropout import drop_
from clusterability.training.objective import loss_and_gradient
from clusterability.training.optimizer import Adam
from clusterability.training.penalty import Penalty
from clusterability.training.samples import Samples


class MLPStack:
    """MLPs of one shape, trained together; implements :class:`Trainable`.

    Args:
        networks: one for each run, of linear layers with ReLUs between, and dropout after each
            hidden layer or after none.
        learning_rate: Adam's.
        device: holds the stack.
        clusters: of the neurons; none by default.
        is_loose: apply masks before Adam's step instead of after it, so that a pruned weight is
            Adam's last step until the next one; see :attr:`TrainingSpec.pruning_order`.
    """

    def __init__(
        self,
        networks: Sequence[nn.Sequential],
        learning_rate: float,
        device: torch.device,
        clusters: KernelClusters | None = None,
        is_loose: bool = False,
    ) -> None:
        self.n_runs, self.is_loose = len(networks), is_loose
        self.clusters = clusters or KernelClusters()
        self.learning_rate = learning_rate
        layers = {n: m for n, m in networks[0].named_children() if isinstance(m, nn.Linear)}
        self.widths = [next(iter(layers.values())).in_features]
        self.widths += [layer.out_features for layer in layers.values()]
        rates = [m.p for m in networks[0] if isinstance(m, nn.Dropout)]
        self.rates = rates or [0.0] * (len(layers) - 1)
        self.kernel_names = [f"{name}.weight" for name in layers]
        self.bias_names = [f"{name}.bias" for name in layers]
        self.flat = self._lay_out(networks).to(device)
        self.flat_gradient = torch.zeros_like(self.flat)
        self.parameters, self.gradients = self._views(self.flat), self._views(self.flat_gradient)
        self.kernels, self.biases = self._by_layer(self.parameters)
        self.kernel_gradients, self.bias_gradients = self._by_layer(self.gradients)
        self.n_kernel_weights = sum(kernels.numel() for kernels in self.kernels)
        self.chain = Chain(self.kernels, [biases.squeeze(1) for biases in self.biases])
        self.thresholds: Tensor | None = None
        self.mask: Tensor | None = None
        self.buffers = cache(self._make_buffers)
        self.generators: Sequence[torch.Generator] = ()
        self.penalties: Sequence[Penalty] = ()
        self.start_phase()

    def _lay_out(self, networks: Sequence[nn.Sequential]) -> Tensor:
        """Return all kernels, layer by layer and run by run, and then all biases, in one row."""
        states = [network.state_dict() for network in networks]
        names = [*self.kernel_names, *self.bias_names]
        return torch.cat([state[name].flatten() for name in names for state in states])

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the views of each kernel, (n_runs, out, in), and each bias, (n_runs, out)."""
        shapes: list[tuple[int, ...]] = [(n_out, n_in) for n_in, n_out in pairwise(self.widths)]
        shapes += [(n_out,) for n_out in self.widths[1:]]
        parts = torch.split(flat, [self.n_runs * math.prod(shape) for shape in shapes])
        names = [*self.kernel_names, *self.bias_names]
        return {
            name: part.view(self.n_runs, *shape)
            for name, part, shape in zip(names, parts, shapes, strict=True)
        }

    def _by_layer(self, views: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the kernels, (n_runs, out, in), and the biases, (n_runs, 1, out)."""
        return (
            [views[name] for name in self.kernel_names],
            [views[name].unsqueeze(1) for name in self.bias_names],
        )

    @property
    def is_pruned(self) -> bool:
        """Whether there are masks."""
        return self.mask is not None

    def start_phase(self) -> None:
        """Begin Adam afresh."""
        self.adam = Adam(self.learning_rate)

    def start_epoch(
        self,
        generators: Sequence[torch.Generator],
        transformations: Tensor | None = None,
        penalties: Sequence[Penalty] = (),
    ) -> None:
        """Take the epoch's random numbers and penalties; see :meth:`Trainable.start_epoch`."""
        assert transformations is None, "images are flattened before an MLP sees them"
        self.generators, self.penalties = generators, penalties

    def _make_buffers(self, n_samples: int) -> list[list[Tensor]]:
        """Return buffers for the inputs of each layer, and for the gradients of its outputs."""
        new = self.flat.new_empty
        activations = [new(self.n_runs, n_samples, width) for width in self.widths[:-1]]
        errors = [new(self.n_runs, n_samples, width) for width in self.widths[1:]]
        return [activations, errors]

    @torch.no_grad()
    def step(self, samples: Samples, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of Adam; see :meth:`Trainable.step`."""
        n_samples = indices.shape[1]
        activations, errors = self.buffers(n_samples)
        flat = indices.flatten()
        inputs = activations[0].view(len(flat), -1)
        torch.index_select(samples.x.flatten(1), 0, flat, out=inputs)
        targets = samples.targets.index_select(0, flat).view(self.n_runs, n_samples, -1)
        outputs = self._forward(activations, errors)
        losses, gradient, n_right = loss_and_gradient(outputs, targets, samples.is_regression)
        self._backward(activations, errors, gradient)
        for penalty in self.penalties:
            penalty.add_gradient(self.parameters, self.gradients)
        if self.is_loose:
            self.apply_masks()
        self.adam.step(self.flat, self.flat_gradient)
        if not self.is_loose:
            self.apply_masks()
        return losses, n_right

    def _forward(self, activations: list[Tensor], errors: list[Tensor]) -> Tensor:
        last = len(self.kernels) - 1
        for i, (kernels, biases) in enumerate(zip(self.kernels, self.biases, strict=True)):
            out = errors[i] if i == last else activations[i + 1]
            torch.baddbmm(biases, activations[i], kernels.transpose(1, 2), out=out)
            if i < last:
                out.relu_()
                if self.rates[i]:
                    # The mask goes into the buffer of the gradient, which is in the cache.
                    drop_(out, self.rates[i], self.generators, kept=errors[i])
        return errors[-1]

    def _backward(self, activations: list[Tensor], errors: list[Tensor], gradient: Tensor) -> None:
        for i in range(len(self.kernels) - 1, -1, -1):
            torch.bmm(gradient.transpose(1, 2), activations[i], out=self.kernel_gradients[i])
            torch.sum(gradient, 1, keepdim=True, out=self.bias_gradients[i])
            if i:
                torch.bmm(gradient, self.kernels[i], out=errors[i - 1])
                # The ReLU and dropout both left zeros: their gradients are one operation.
                gradient = torch.ops.aten.threshold_backward.grad_input(
                    errors[i - 1], activations[i], 0, grad_input=errors[i - 1]
                )
                if self.rates[i - 1]:
                    gradient.mul_(1 / (1 - self.rates[i - 1]))

    def normalize(self, norm: str) -> None:
        """Scale each hidden neuron's weights to one norm; see :meth:`Trainable.normalize`."""
        if norm == "threshold" and self.thresholds is None:
            self.thresholds = self.flat.new_zeros(self.n_runs, len(self.kernels))
        self.chain.normalize_(thresholds=self.thresholds if norm == "threshold" else None)

    @torch.no_grad()
    def prune(self, sparsity: float, emptied: float = 1.0) -> None:
        """Make the masks anew; see :meth:`Trainable.prune`."""
        masks = []
        for name, kernels in zip(self.kernel_names, self.kernels, strict=True):
            first = self.clusters.goes_first(name, kernels)
            masks.append(prune(kernels, sparsity, first, emptied))
        if self.thresholds is not None:
            for i, (kernels, mask) in enumerate(zip(self.kernels, masks, strict=True)):
                kept = kernels.abs().masked_fill_(mask == 0, torch.inf)
                self.thresholds[:, i] = kept.flatten(1).amin(1)
        flat = torch.cat([mask.flatten() for mask in masks])
        self.mask = flat if self.mask is None else self.mask.copy_(flat)
        if not self.is_loose:
            self.apply_masks()

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Set the weights to 0 that the masks drop; see :meth:`Trainable.apply_masks`."""
        if self.mask is not None:
            self.flat[: self.n_kernel_weights].mul_(self.mask)

    @torch.no_grad()
    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs, (n_runs, n, n_outputs), for inputs (n, ...), without dropout."""
        h = x.flatten(1).expand(self.n_runs, len(x), self.widths[0])
        for i, (kernels, biases) in enumerate(zip(self.kernels, self.biases, strict=True)):
            h = torch.baddbmm(biases, h, kernels.transpose(1, 2))
            if i < len(self.kernels) - 1:
                h = h.relu_()
        return h

    def state(self) -> dict[str, Tensor]:
        """Return copies on the CPU of the parameters, Adam's moments and the mask."""
        held = {"parameter": self.flat, **self.adam.state}
        if self.mask is not None:
            held["mask"] = self.mask
        if self.thresholds is not None:
            held["thresholds"] = self.thresholds
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go back to a state that :meth:`state` returned."""
        self.flat.copy_(state["parameter"])
        self.start_phase()
        if "step" in state:
            self.adam.state["step"] = state["step"].clone().to(self.flat.device)
            for name in ("exp_avg", "exp_avg_sq"):
                self.adam.state[name] = torch.empty_like(self.flat).copy_(state[name])
        mask, kept = state.get("mask"), self.flat.new_empty(self.n_kernel_weights)
        self.mask = None if mask is None else kept.copy_(mask)
        thresholds = state.get("thresholds")
        self.thresholds = None if thresholds is None else thresholds.clone().to(self.flat.device)

    def weights(self, run: int) -> dict[str, Tensor]:
        """Return the state dict of one network, on the CPU."""
        names = chain.from_iterable(zip(self.kernel_names, self.bias_names, strict=True))
        return {name: self.parameters[name][run].to("cpu", copy=True) for name in names}
