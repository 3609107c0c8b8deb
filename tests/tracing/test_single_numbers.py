"""Tensors without axes between layers: one neuron, or a sum of several, taken out and put back."""

import pytest
import torch

from clusterability.sources import neuron_graph
from small_modules import Forward, powers


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (lambda h: h[:, 1:2].reshape(()).reshape(1, 1), [10]),
        (lambda h: (h[:, 1:2] + h[:, 2:]).reshape(()).reshape(1, 1), [110]),
        (lambda h: (h + h.flip(1))[0, 0].view(1, 1), [101]),
        (lambda h: torch.stack([h[0, 0], h[0, 0] + h[0, 2]]).unsqueeze(0), [1, 101]),
        (lambda h: (h[0, 1] * 2 + h[0, 2]).view(1, 1).expand(1, 2).squeeze(0)[None, :1], [120]),
    ],
    ids=["one", "sum", "of two terms", "stack", "scaled"],
)
def test_a_tensor_without_axes_holds_what_was_taken(between, expected):
    network = Forward(
        lambda self, x: self.b(between(self.a(x))), a=powers(2, 3), b=powers(len(expected), 2)
    )
    graph = neuron_graph(network, example_inputs=(torch.ones(1, 2),), include=("input", "dense"))
    torch.testing.assert_close(graph.blocks[0].strengths, torch.tensor([expected] * 2).float())
