"""The networks that can be trained, by name, and how the paper trains them (appendix A.2).

What they are built of is loaded when the first one is built: listing them does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from clusterability.arguments import one_of
from clusterability.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

Shape = tuple[int, ...]
"""Of one input, without the batch axis: (channels, height, width), or (n_features,)."""

Builder = Callable[[Shape, int, bool], "nn.Sequential"]
"""Makes a module from the shape of one input, the number of outputs and whether it has dropout."""


@dataclass(frozen=True)
class Network:
    """One architecture, and how it is trained.

    Args:
        builder: a :data:`Builder`, or ``"module:attribute"`` where it can be loaded from.
        batch_size, epochs, pruning_epochs: as published; the pruning follows the epochs.
        regression: whether it is trained on the mean square error.
        is_mlp: whether it is a chain of linear layers with ReLUs, several of which can be stacked.
        description: one line.
    """

    builder: Builder | str
    batch_size: int
    epochs: int
    pruning_epochs: int
    description: str
    regression: bool = False
    is_mlp: bool = False

    def build(
        self, shape: Shape, n_outputs: int, dropout: bool, dropout_rate: float | None = None
    ) -> nn.Sequential:
        """Build the module, with torch's own random weights; see :func:`build`."""
        network = self._builder(shape, n_outputs, dropout)
        if dropout_rate is not None:
            from clusterability.training.architectures import set_dropout_rate

            set_dropout_rate(network, dropout_rate)
        return network

    @property
    def _builder(self) -> Builder:
        builder = self.builder
        if isinstance(builder, str):
            module, _, attribute = builder.partition(":")
            builder = getattr(import_module(module), attribute)
        return builder


def build(
    name: str,
    shape: Shape,
    n_outputs: int,
    *,
    dropout: bool = False,
    dropout_rate: float | None = None,
    generator: np.random.Generator | None = None,
) -> nn.Sequential:
    """Build one of the networks, with Glorot-uniform kernels and zero biases, as Keras has them.

    Args:
        name: a key of :data:`NETWORKS`.
        shape: of one input, (channels, height, width) or (n_features,).
        n_outputs: classes, or targets of a regression.
        dropout: whether the paper's dropout layers are in it.
        dropout_rate: the share that each of these layers drops; None for the paper's rates.
        generator: draws the weights; by default one without a seed.

    Raises:
        InputError: if there is no such network, the input is too small for its pools, or a rate is
            given without dropout layers.

    >>> network = build("small-mlp", (1, 7, 7), 10)
    >>> [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    [(64, 49), (64, 64), (64, 64), (10, 64)]
    """
    import numpy as np

    from clusterability.training.architectures import glorot_uniform_

    made = NETWORKS[one_of("network", name, NETWORKS)]
    network = made.build(shape, n_outputs, dropout, dropout_rate)
    glorot_uniform_(network, generator or np.random.default_rng())
    return network


_ARCHITECTURES = "clusterability.training.architectures"

NETWORKS: Registry[Network] = Registry(
    "clusterability.networks",
    {
        "mlp": Network(
            f"{_ARCHITECTURES}:wide_mlp", 128, 20, 20, "MLP, 4 hidden layers of 256", is_mlp=True
        ),
        "mlp-regression": Network(
            *(f"{_ARCHITECTURES}:wide_mlp", 128, 20, 20, "the same, on the mean square error"),
            regression=True,
            is_mlp=True,
        ),
        "small-mlp": Network(
            f"{_ARCHITECTURES}:small_mlp", 128, 10, 10, "MLP, 3 hidden layers of 64", is_mlp=True
        ),
        "small-cnn": Network(
            f"{_ARCHITECTURES}:small_cnn", 64, 10, 10, "3 convolutions of 64 channels, dense 128"
        ),
        "vgg": Network(
            *(f"{_ARCHITECTURES}:vgg", 128, 200, 50),
            "VGG-16 of Liu and Deng (2015) for 32 x 32 images",
        ),
    },
)
"""The networks by name. Add one, and ``clusterability train --network`` knows it."""
