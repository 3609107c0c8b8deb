"""Rescaling of hidden neurons that leaves the network's function as it is.

Source: appendix A.10 of Filan et al. (2021), and its algorithm 2.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from clusterability.arguments import number, yes_or_no
from clusterability.promoting.chain import TARGET
from clusterability.promoting.rescaling import HiddenScales
from clusterability.reading.loaded import InputShape
from clusterability.tracing.examples import inputs_to_trace


def normalize_(
    model: nn.Module,
    target: float = TARGET,
    *,
    with_bias: bool = True,
    example_inputs: Any = None,
    input_shape: InputShape | None = None,
) -> None:
    """Give the weights into every hidden neuron the norm ``target``, in place (algorithm 2).

    The neuron's weights and bias are multiplied by one factor and the weights that read it are
    divided by it, which a network of ReLUs computes the same with. A channel of a convolution is
    one neuron; where a batch norm follows, its weight and bias are scaled and the norm is that of
    the weights times the batch norm's scale, and of its bias. Neurons without weights are left as
    they are, and so are neurons that the network returns.

    For every step of a training, ``HiddenScales(model).normalize_()`` traces the module only once.

    Args:
        model: any module that can be traced.
        target: the norm; of He initialization by default.
        with_bias: whether the bias counts in the norm, as published.
        example_inputs: arguments of the forward pass; by default guessed from the first layer.
        input_shape: in place of these, the shape of one input without the batch axis, or of each.

    Raises:
        InputError: if the function would change, since an activation is not homogeneous or a skip
            connection gives neurons of several layers one scale; if weights are used in several
            places, computed from others, or NaN; or if the module cannot be traced.

    >>> from clusterability import toy
    >>> model = toy.planted_cnn()
    >>> normalize_(model, input_shape=(1, 8, 8))
    >>> round(model[0].weight.flatten(1).norm(dim=1).max().item(), 4)
    1.4142
    """
    target = number("target", target, 1e-30, below=1e30)
    with_bias = yes_or_no("with_bias", with_bias)
    inputs = inputs_to_trace(model, example_inputs, input_shape)
    HiddenScales(model, inputs).normalize_(target, with_bias=with_bias)


def balance_(
    model: nn.Module, *, example_inputs: Any = None, input_shape: InputShape | None = None
) -> None:
    """Make the incoming strength of every hidden neuron equal its outgoing one, in place.

    Strengths are those of the graph, in which a skip connection repeats a block: all copies count.
    The sum of all strengths is then the least that any rescaling of the network has, which is why
    one is found whatever the skip connections: neurons that these add share a factor. Neurons that
    lie on no path from an input to an output are left as they are.

    Args:
        model: any module that can be traced.
        example_inputs: arguments of the forward pass; by default guessed from the first layer.
        input_shape: in place of these, the shape of one input without the batch axis, or of each.

    Raises:
        InputError: as for :func:`normalize_`, except for skip connections.

    >>> from clusterability import neuron_graph, toy
    >>> model, shape = toy.planted_cnn(), (1, 8, 8)
    >>> balance_(model, input_shape=shape)
    >>> graph = neuron_graph(model, include=("input", "dense"), input_shape=shape)
    >>> [round(block.strengths.sum().item(), 3) for block in graph.blocks]
    [5.931, 5.931, 5.931, 5.931]
    """
    HiddenScales(model, inputs_to_trace(model, example_inputs, input_shape)).balance_()
