"""The interface of networks that are trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from clusterability.training.clusters import KernelClusters
from clusterability.training.penalty import Penalty
from clusterability.training.samples import Samples


class Trainable(Protocol):
    """One or several networks of one architecture, with their optimizer and pruning masks.

    Tensors of the networks have a leading axis of ``n_runs``.
    """

    n_runs: int
    clusters: KernelClusters
    generators: Sequence[torch.Generator]
    penalties: Sequence[Penalty]

    @property
    def kernel_names(self) -> Sequence[str]:
        """Names of the weights of each linear layer and convolution, in the order of the layers."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """All parameters and statistics by their names in the state dict, (n_runs, ...) each."""

    @property
    def is_pruned(self) -> bool:
        """Whether there are masks; later ones are written over the first."""

    def start_phase(self) -> None:
        """Begin Adam afresh."""

    def start_epoch(
        self,
        generators: Sequence[torch.Generator],
        transformations: Tensor | None = None,
        penalties: Sequence[Penalty] = (),
    ) -> None:
        """Take the random numbers and the penalties of an epoch.

        Args:
            generators: draw the dropout of each run.
            transformations: (n, 2, 3), how each image is augmented; None for no augmentation.
            penalties: added to the loss.
        """

    def step(self, samples: Samples, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of Adam on a batch for each network.

        Args:
            samples: the training part.
            indices: (n_runs, batch), the samples that each network sees.

        Returns:
            Sum of the losses over the batch without penalties, and number of right predictions,
            (n_runs,) each.
        """

    def normalize(self, norm: str) -> None:
        """Scale each hidden neuron's weights to one norm, such that the function stays.

        Args:
            norm: ``"weights"``, or ``"threshold"``; see :attr:`TrainingSpec.pruned_norm`.
        """

    def prune(self, sparsity: float, emptied: float = 1.0) -> None:
        """Make the masks anew, which set the weights that they drop to 0 at each step.

        Args:
            sparsity: share of zeros in each kernel.
            emptied: of the weights between clusters, if there are clusters, which go first: at
                least this share is dropped, also where the sparsity is lower.
        """

    def apply_masks(self) -> None:
        """Set the weights to 0 that the masks drop, as after the last step of an epoch."""

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs, (n_runs, n, n_outputs), for inputs (n, ...), without dropout."""

    def state(self) -> dict[str, Tensor]:
        """Return copies on the CPU of everything that changes in training."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go back to a state that :meth:`state` returned."""

    def weights(self, run: int) -> dict[str, Tensor]:
        """Return the state dict of one network, on the CPU."""
