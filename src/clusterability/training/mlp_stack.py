"""MLPs stacked along a leading axis, and their gradient written out.

The gradient of an MLP takes three products a layer; written out, without a graph of the
computation and into buffers that are kept, a step has half the overhead of autograd's. On a GPU
dozens of networks share each product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from clusterability.training.dropout import drop_
from clusterability.training.objective import Penalty, loss_and_gradient
from clusterability.training.optimizer import Adam
from clusterability.training.pruning import prune
from clusterability.training.samples import Samples


class MLPStack:
    """MLPs of one shape, trained together; implements :class:`Trainable`.

    Args:
        networks: one a run, of linear layers with ReLUs between, and dropout after each or none.
        penalties: one a layer.
        learning_rate: Adam's.
        device: where they are trained.
    """

    def __init__(
        self,
        networks: Sequence[nn.Sequential],
        penalties: Sequence[Penalty],
        learning_rate: float,
        device: torch.device,
    ) -> None:
        self.n_runs = len(networks)
        self.penalties = penalties
        self.learning_rate = learning_rate
        self.names = [n for n, m in networks[0].named_children() if isinstance(m, nn.Linear)]
        layers = [m for m in networks[0] if isinstance(m, nn.Linear)]
        self.widths = [layers[0].in_features, *(layer.out_features for layer in layers)]
        rates = [m.p for m in networks[0] if isinstance(m, nn.Dropout)]
        self.rates = rates or [0.0] * (len(layers) - 1)
        shapes = [(n_out, n_in) for n_in, n_out in pairwise(self.widths)]
        shapes += [(1, n_out) for n_out in self.widths[1:]]
        self.n_kernel_weights = self.n_runs * sum(math.prod(s) for s in shapes[: len(layers)])
        sizes = [self.n_runs * math.prod(shape) for shape in shapes]
        # One flat parameter, that Adam goes over once; the layers are views of it.
        self.parameter = torch.empty(sum(sizes), device=device)
        self.gradient = torch.zeros_like(self.parameter)
        self.views = self._views(self.parameter, sizes, shapes)
        self.gradients = self._views(self.gradient, sizes, shapes)
        self.mask: Tensor | None = None
        self._copy_in(networks)
        self.buffers = cache(self._make_buffers)
        self.generators: Sequence[torch.Generator] = ()
        self.start_phase()

    def _views(self, flat: Tensor, sizes: list[int], shapes: list[tuple[int, int]]) -> list[Tensor]:
        parts = torch.split(flat, sizes)
        return [part.view(self.n_runs, *shape) for part, shape in zip(parts, shapes, strict=True)]

    def _copy_in(self, networks: Sequence[nn.Sequential]) -> None:
        for run, network in enumerate(networks):
            layers = [m for m in network if isinstance(m, nn.Linear)]
            for kernels, biases, layer in zip(self.kernels, self.biases, layers, strict=True):
                kernels[run].copy_(layer.weight.detach())
                biases[run, 0].copy_(layer.bias.detach())

    @property
    def kernels(self) -> list[Tensor]:
        """(n_runs, out, in) for each layer."""
        return self.views[: len(self.names)]

    @property
    def biases(self) -> list[Tensor]:
        """(n_runs, 1, out) for each layer."""
        return self.views[len(self.names) :]

    def start_phase(self) -> None:
        """Begin Adam afresh."""
        self.adam = Adam(self.learning_rate)

    def start_epoch(
        self, generators: Sequence[torch.Generator], transformations: Tensor | None
    ) -> None:
        """Take the random numbers of the epoch."""
        assert transformations is None, "images are flattened before an MLP sees them"
        self.generators = generators

    def _make_buffers(self, n_samples: int) -> list[list[Tensor]]:
        """Activations of each layer but the outputs, and gradients with respect to each layer's."""
        new = self.parameter.new_empty
        activations = [new(self.n_runs, n_samples, width) for width in self.widths[:-1]]
        errors = [new(self.n_runs, n_samples, width) for width in self.widths[1:]]
        return [activations, errors]

    @torch.no_grad()
    def step(self, samples: Samples, indices: Tensor) -> tuple[Tensor, Tensor]:
        """One step of Adam; see :meth:`Trainable.step`."""
        n_samples = indices.shape[1]
        activations, errors = self.buffers(n_samples)
        flat = indices.flatten()
        inputs = activations[0].view(len(flat), -1)
        torch.index_select(samples.x.flatten(1), 0, flat, out=inputs)
        targets = samples.targets.index_select(0, flat).view(self.n_runs, n_samples, -1)
        outputs = self._forward(activations, errors)
        losses, gradient, n_right = loss_and_gradient(outputs, targets, samples.is_regression)
        self._backward(activations, errors, gradient)
        for penalty, kernels, gradients in zip(
            self.penalties, self.kernels, self.gradients, strict=False
        ):
            penalty.add_gradient(kernels, gradients)
        self.adam.step(self.parameter, self.gradient)
        if self.mask is not None:
            self.parameter[: self.n_kernel_weights].mul_(self.mask)
        return losses, n_right

    def _forward(self, activations: list[Tensor], errors: list[Tensor]) -> Tensor:
        last = len(self.names) - 1
        for i, (kernels, biases) in enumerate(zip(self.kernels, self.biases, strict=True)):
            out = errors[i] if i == last else activations[i + 1]
            torch.baddbmm(biases, activations[i], kernels.transpose(1, 2), out=out)
            if i < last:
                out.relu_()
                if self.rates[i]:
                    # What is kept goes where the gradient will be: memory that is warm.
                    drop_(out, self.rates[i], self.generators, kept=errors[i])
        return errors[-1]

    def _backward(self, activations: list[Tensor], errors: list[Tensor], gradient: Tensor) -> None:
        n_layers = len(self.names)
        for i in range(n_layers - 1, -1, -1):
            torch.bmm(gradient.transpose(1, 2), activations[i], out=self.gradients[i])
            torch.sum(gradient, 1, keepdim=True, out=self.gradients[n_layers + i])
            if i:
                torch.bmm(gradient, self.kernels[i], out=errors[i - 1])
                # 0 where the ReLU or dropout made 0: both at once.
                gradient = torch.ops.aten.threshold_backward.grad_input(
                    errors[i - 1], activations[i], 0, grad_input=errors[i - 1]
                )
                if self.rates[i - 1]:
                    gradient.mul_(1 / (1 - self.rates[i - 1]))

    @torch.no_grad()
    def prune(self, sparsity: float) -> None:
        """Make the masks anew; see :meth:`Trainable.prune`."""
        masks = [prune(kernels, sparsity) for kernels in self.kernels]
        self.mask = torch.cat([mask.flatten() for mask in masks])
        self.parameter[: self.n_kernel_weights].mul_(self.mask)

    @torch.no_grad()
    def outputs(self, x: Tensor) -> Tensor:
        """(n_runs, n, n_outputs) for inputs (n, ...), without dropout."""
        h = x.flatten(1).expand(self.n_runs, len(x), self.widths[0])
        for i, (kernels, biases) in enumerate(zip(self.kernels, self.biases, strict=True)):
            h = torch.baddbmm(biases, h, kernels.transpose(1, 2))
            if i < len(self.names) - 1:
                h = h.relu_()
        return h

    def state(self) -> dict[str, Tensor]:
        """Parameters, Adam's moments and the masks; copies, on the CPU."""
        held = {"parameter": self.parameter, **self.adam.state}
        if self.mask is not None:
            held["mask"] = self.mask
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go back to a state that :meth:`state` gave."""
        self.parameter.copy_(state["parameter"])
        self.start_phase()
        if "step" in state:
            self.adam.state["step"] = state["step"].clone().to(self.parameter.device)
            for name in ("exp_avg", "exp_avg_sq"):
                self.adam.state[name] = torch.empty_like(self.parameter).copy_(state[name])
        mask, kept = state.get("mask"), self.parameter.new_empty(self.n_kernel_weights)
        self.mask = None if mask is None else kept.copy_(mask)

    def weights(self, run: int) -> dict[str, Tensor]:
        """The state dict of one network, on the CPU."""
        found = {}
        for name, kernels, biases in zip(self.names, self.kernels, self.biases, strict=True):
            found[f"{name}.weight"] = kernels[run].detach().to("cpu", copy=True)
            found[f"{name}.bias"] = biases[run, 0].detach().to("cpu", copy=True)
        return found
