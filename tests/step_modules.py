"""What steps of random networks read, and the modules that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Register:
    """What is known of a tensor on its way, without its batch axis.

    Attributes:
        shape: (channels, length), (channels, height, width) or (features,).
        image: whether channels hold what no weight has touched, the network's input or constants:
            ``none``, ``some`` or ``all`` of them.
        pixels: for features, how many of them each neuron has, in order.
    """

    shape: tuple[int, ...]
    image: str = "none"
    pixels: tuple[int, ...] = ()

    @property
    def n_pixels(self) -> int:
        return torch.Size(self.shape[1:]).numel()

    @property
    def is_map(self) -> bool:
        return len(self.shape) == 3

    @property
    def has_channels(self) -> bool:
        return len(self.shape) > 1

    @property
    def per_neuron(self) -> bool:
        """Whether every channel or feature is one neuron."""
        return self.has_channels or set(self.pixels) == {1}


class Apply(nn.Module):
    """Any function, and a linear stand-in for it.

    Where it ``masks``, the stand-in lets weakly pass what the function, linear itself, removes.
    """

    masks = False

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        linear: Callable[..., Tensor] | None = None,
        *shapes: tuple[int, ...],
    ) -> None:
        """Args: shapes, of parameters that the functions take after their inputs."""
        super().__init__()
        self.name, self.function, self.stand_in, self.linear = name, function, linear, False
        self.scales = nn.ParameterList(torch.ones(shape) for shape in shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        function = self.stand_in if self.linear and self.stand_in else self.function
        return function(*inputs, *self.scales)

    def extra_repr(self) -> str:
        return self.name


class Scale(nn.Module):
    """Each channel times a parameter of its own."""

    def __init__(self, register: Register) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(register.shape[0], *[1] * (len(register.shape) - 1)))

    def forward(self, stream: Tensor) -> Tensor:
        return stream * self.scale


class ChannelsLast(nn.Module):
    """A linear layer that reads the channels of every pixel."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Linear(n_in, n_out)

    def forward(self, stream: Tensor) -> Tensor:
        return self.weight(stream.movedim(1, -1)).movedim(-1, 1)


class SqueezeExcite(nn.Module):
    def __init__(self, n_channels: int, n_axes: int) -> None:
        super().__init__()
        self.weight = nn.Linear(n_channels, n_channels)
        self.activation = Apply("sigmoid", torch.sigmoid, lambda x: 1.3 * x)
        self.n_axes = n_axes

    def forward(self, stream: Tensor) -> Tensor:
        gate = self.activation(self.weight(stream.flatten(2).mean(2)))
        return stream * gate.reshape(*gate.shape, *[1] * self.n_axes)


class DenseToImage(nn.Module):
    """Features become the pixels of channels, which a convolution reads."""

    def __init__(self, n_features: int, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Linear(n_features, n_channels * 4)
        self.conv = nn.Conv2d(n_channels, 2, 2)
        self.n_channels = n_channels

    def forward(self, stream: Tensor) -> Tensor:
        return self.conv(self.weight(stream).reshape(-1, self.n_channels, 2, 2))


class Weighing(nn.Module):
    """A weight operation by a function of what it reads and of its weight.

    Attributes:
        neuron_axis: of what it reads, along which its neurons lie.
    """

    def __init__(
        self, function: Callable[..., Tensor], shapes: list[tuple[int, ...]], neuron_axis: int
    ) -> None:
        super().__init__()
        self.function, self.neuron_axis = function, neuron_axis
        self.weights = nn.ParameterList(torch.zeros(shape) for shape in shapes)

    def forward(self, stream: Tensor) -> Tensor:
        return self.function(stream, *self.weights)


WEIGHTS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d),
    Weighing,
)
