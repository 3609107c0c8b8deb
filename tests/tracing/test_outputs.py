"""Which outputs of a network make layers."""

import pytest
import torch
from torch import nn

from clusterability.sources import neuron_graph
from small_modules import Forward, conv, linear, randomized

onnx_models = pytest.importorskip("onnx_models")

POINTS = torch.zeros(1, 8)


class Autoencoder(nn.Module):
    """Encoder 8-6-3, decoder 3-6-8.

    Attributes:
        returns: what it returns of the code and the reconstruction.
    """

    def __init__(self, returns):
        super().__init__()
        self.returns = returns
        self.encoder = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 8))
        randomized(self)

    def forward(self, x):
        code = self.encoder(x)
        return self.returns(code, self.decoder(code))


def assert_same(found, expected):
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        assert (block.source, block.target) == (other.source, other.target)
        torch.testing.assert_close(block.strengths, other.strengths)


RETURNS = {
    "code first": lambda code, out: (code, out),
    "code last": lambda code, out: (out, code),
    "code as it is read": lambda code, out: {"out": out, "code": code.relu()},
    "probabilities": lambda _, out: (out, out.softmax(1)),
    "scaled code": lambda code, out: [out, 3 * code],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RETURNS)
def test_hidden_layers_that_are_returned_add_none(name):
    expected = neuron_graph(Autoencoder(lambda _, out: out), example_inputs=POINTS)
    assert expected.layer_sizes == [8, 6, 3, 6, 8]
    assert_same(neuron_graph(Autoencoder(RETURNS[name]), example_inputs=POINTS), expected)


@pytest.mark.slow
def test_intermediate_outputs_of_an_onnx_file_add_none(tmp_path):
    plain = onnx_models.exported(Autoencoder(lambda _, out: out), POINTS, tmp_path, "plain.onnx")
    both = onnx_models.exported(Autoencoder(RETURNS["code last"]), POINTS, tmp_path, "both.onnx")
    found, expected = neuron_graph(both), neuron_graph(plain)
    assert found.layer_sizes == expected.layer_sizes == [8, 6, 3, 6, 8]
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


def test_features_of_a_cnn_beside_its_logits():
    """The dense part, which reads them, is left out of the graph; they are still its last layer."""

    def forward(self, x, with_features):
        features = self.b(self.a(x)).mean((2, 3))
        logits = self.c(features)
        return (logits, features) if with_features else logits

    parts = {"a": conv(2, 4), "b": conv(4, 6), "c": linear(6, 3)}
    image = torch.zeros(1, 2, 4, 4)
    found, expected = (
        neuron_graph(Forward(forward, **parts), example_inputs=(image, both))
        for both in (True, False)
    )
    assert_same(found, expected)


def test_several_heads_are_layers_of_their_own():
    def forward(self, x):
        h = self.a(x)
        return self.b(h), self.c(h)

    model = Forward(forward, a=linear(8, 6), b=linear(6, 3), c=linear(6, 4))
    assert neuron_graph(model, example_inputs=POINTS).layer_sizes == [8, 6, 6, 3, 4]


def test_an_output_with_new_neurons_is_a_layer():
    """Half of a layer is read on; in one output with others, hidden neurons are outputs too."""

    def forward(self, x):
        h = self.a(x)
        return h, self.b(h[:, :2])

    model = randomized(Forward(forward, a=linear(8, 5), b=linear(2, 3)))
    found = neuron_graph(model, example_inputs=POINTS)
    assert {layer.name: layer.n_neurons for layer in found.layers} == {
        "input": 8,
        "a -> b": 2,
        "a -> output": 5,
        "b": 3,
    }
    whole = neuron_graph(Autoencoder(lambda code, out: torch.cat([out, code], 1)))
    assert whole.layer_sizes == [8, 6, 3, 6, 8, 3]


def test_a_mean_beside_what_reads_it():
    """What arrives at an output arrives at the decoder too, with more beside it."""

    def forward(self, x):
        mean, log = self.a(x), self.b(x)
        return self.c(mean + torch.randn_like(log) * torch.exp(0.5 * log)), mean, log

    model = Forward(forward, a=linear(8, 3), b=linear(8, 3), c=linear(3, 8))
    found = neuron_graph(model, example_inputs=POINTS)
    assert [layer.n_neurons for layer in found.layers] == [8, 8, 3, 8]
