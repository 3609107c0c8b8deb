"""One network that is a sequence of any modules; its gradient by autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clusterability.promoting.masks import prune
from clusterability.training.augmentation import transform
from clusterability.training.clusters import KernelClusters
from clusterability.training.dropout import drop_
from clusterability.training.networks import Shape
from clusterability.training.objective import loss_and_gradient
from clusterability.training.optimizer import adam
from clusterability.training.penalty import Penalty
from clusterability.training.samples import Samples

if TYPE_CHECKING:
    from clusterability.promoting.rescaling import HiddenScales

_WEIGHTED = (nn.Linear, nn.Conv2d)


class AutogradNetwork:
    """One network; implements :class:`Trainable` with ``n_runs`` of 1.

    Args:
        network: a sequence of modules; the linear layers and convolutions hold the kernels.
        learning_rate: Adam's.
        device: holds the network.
        shape: of one input, (channels, height, width); guessed where it is needed and not given.
        clusters: of the neurons; none by default.
        is_loose: apply masks before Adam's step instead of after it.
        precision: ``"bfloat16"`` computes convolutions and products so, with weights in float32.
    """

    n_runs = 1

    def __init__(
        self,
        network: nn.Sequential,
        learning_rate: float,
        device: torch.device,
        shape: Shape | None = None,
        clusters: KernelClusters | None = None,
        is_loose: bool = False,
        precision: str = "float32",
    ) -> None:
        self.network = network.to(device)
        self.shape, self.clusters = shape, clusters or KernelClusters()
        self.is_loose, self.is_half = is_loose, precision == "bfloat16"
        for parameter in network.parameters():
            # Convolutions on a CPU are faster with the channels last in memory.
            parameter.data = _channels_last(parameter.data)
        self.learning_rate = learning_rate
        weighted = {n: m for n, m in network.named_children() if isinstance(m, _WEIGHTED)}
        self.weighted = list(weighted.values())
        self.kernel_names = [f"{name}.weight" for name in weighted]
        state = network.state_dict()
        # Views, which see each change, since parameters and statistics are changed in place.
        self.parameters = {name: value.unsqueeze(0) for name, value in state.items()}
        self.masks: list[Tensor] = []
        self.scales: HiddenScales | None = None
        self.generators: Sequence[torch.Generator] = ()
        self.transformations: Tensor | None = None
        self.penalties: Sequence[Penalty] = ()
        self.start_phase()

    @property
    def is_pruned(self) -> bool:
        """Whether there are masks."""
        return bool(self.masks)

    def start_phase(self) -> None:
        """Begin Adam afresh."""
        self.optimizer = adam(self.network.parameters(), self.learning_rate)

    def start_epoch(
        self,
        generators: Sequence[torch.Generator],
        transformations: Tensor | None = None,
        penalties: Sequence[Penalty] = (),
    ) -> None:
        """Take the epoch's random numbers and penalties; see :meth:`Trainable.start_epoch`."""
        self.generators, self.transformations = generators, transformations
        self.penalties = penalties

    def step(self, samples: Samples, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of Adam; see :meth:`Trainable.step`."""
        chosen = indices[0]
        x = _channels_last(samples.x.index_select(0, chosen))
        if self.transformations is not None:
            x = _channels_last(transform(x, self.transformations.index_select(0, chosen)))
        self.network.train()
        outputs = self._forward(x)
        targets = samples.targets.index_select(0, chosen)
        losses, gradient, n_right = loss_and_gradient(
            outputs.detach().unsqueeze(0), targets.unsqueeze(0), samples.is_regression
        )
        self.optimizer.zero_grad()
        torch.autograd.backward(outputs, gradient[0])
        gradients = self._gradients()
        for penalty in self.penalties:
            penalty.add_gradient(self.parameters, gradients)
        if self.is_loose:
            self.apply_masks()
        self.optimizer.step()
        if not self.is_loose:
            self.apply_masks()
        return losses, n_right

    def _gradients(self) -> dict[str, Tensor]:
        """Return views of the gradients, (1, ...) each; autograd makes new ones at each step."""
        named = self.network.named_parameters()
        return {name: p.grad.unsqueeze(0) for name, p in named if p.grad is not None}

    def _forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.is_half):
            outputs = self._pass_through(x)
        return outputs.to(x.dtype)

    def _pass_through(self, x: Tensor) -> Tensor:
        for module in self.network:
            if not isinstance(module, nn.Dropout):
                x = module(x)
            elif self.network.training:
                # Multiply by a mask instead of in place, so that autograd sees the dropout.
                ones = torch.ones_like(x).unsqueeze(0)
                x = x * drop_(ones, module.p, self.generators)[0]
        return x

    def normalize(self, norm: str) -> None:
        """Scale each hidden neuron's weights to one norm; see :meth:`Trainable.normalize`."""
        assert norm == "weights", "the other norm is of MLPs only"
        if self.scales is None:
            # A training that normalizes no weights need not wait for what traces networks.
            from clusterability.promoting.rescaling import HiddenScales
            from clusterability.tracing.examples import inputs_to_trace

            inputs = inputs_to_trace(self.network, None, self.shape)
            self.scales = HiddenScales(self.network, inputs)
        self.scales.normalize_()

    @torch.no_grad()
    def prune(self, sparsity: float, emptied: float = 1.0) -> None:
        """Make the masks anew; see :meth:`Trainable.prune`."""
        masks = []
        for name in self.kernel_names:
            kernel = self.parameters[name]
            first = self.clusters.goes_first(name, kernel)
            masks.append(prune(kernel, sparsity, first, emptied)[0])
        if self.masks:
            masks = [old.copy_(new) for old, new in zip(self.masks, masks, strict=True)]
        self.masks = masks
        if not self.is_loose:
            self.apply_masks()

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Set the weights to 0 that the masks drop; see :meth:`Trainable.apply_masks`."""
        for mask, module in zip(self.masks, self.weighted, strict=False):
            module.weight.mul_(mask)

    @torch.no_grad()
    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs, (1, n, n_outputs), for inputs (n, ...), in evaluation mode."""
        self.network.eval()
        return self._forward(_channels_last(x)).unsqueeze(0)

    def state(self) -> dict[str, Tensor]:
        """Return copies on the CPU of parameters, statistics, Adam's moments and the masks."""
        held = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for i, parameter in enumerate(self.network.parameters()):
            for name, value in self.optimizer.state[parameter].items():
                held[f"adam.{i}.{name}"] = value
        held |= {f"mask.{i}": mask for i, mask in enumerate(self.masks)}
        return {name: _on_cpu(value) for name, value in held.items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go back to a state that :meth:`state` returned."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "adam": {}, "mask": {}}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        self.start_phase()
        for i, parameter in enumerate(self.network.parameters() if parts["adam"] else ()):
            for moment in ("step", "exp_avg", "exp_avg_sq"):
                value = parts["adam"][f"{i}.{moment}"]
                self.optimizer.state[parameter][moment] = _laid_as(parameter, value)
        masks = [parts["mask"][str(i)] for i in range(len(parts["mask"]))]
        self.masks = [
            _laid_as(module.weight, mask)
            for mask, module in zip(masks, self.weighted, strict=False)
        ]

    def weights(self, run: int) -> dict[str, Tensor]:
        """Return the state dict, on the CPU."""
        assert run == 0
        state = self.network.state_dict()
        return {name: _on_cpu(value) for name, value in state.items()}


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _on_cpu(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU, contiguous, as files have it."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _laid_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a copy in the memory layout of the parameter, as Adam's kernel needs its moments."""
    if value.ndim == 0:
        return value.clone().to(parameter.device)
    return torch.empty_like(parameter).copy_(value)
