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
    "a part of the code": lambda code, out: (out, code[:, 1:]),
    "in one tensor": lambda code, out: torch.cat([out, code], 1),
    "in one tensor, code first": lambda code, out: torch.cat([code, out], 1),
    "a part in one tensor": lambda code, out: torch.cat([out, code[:, 1:]], 1),
    "about the output": lambda code, out: torch.cat([code[:, :1], out, code[:, 1:]], 1),
    "activated": lambda code, out: torch.cat([out, code.tanh(), code.relu()], 1),
    "all activated": lambda code, out: torch.cat([code, out], 1).sigmoid(),
    "in another shape": lambda code, out: torch.cat([out, code], 1).view(1, 11, 1).mT,
    "turned": lambda code, out: torch.cat([code.T, out.T]),
    "padded": lambda code, out: torch.nn.functional.pad(torch.cat([out, code], 1), (1, 2)),
    "assigned": lambda code, out: padded(out).slice_scatter(code, 1, 8),
    "in one tensor and alone": lambda code, out: (torch.cat([out, code], 1), code),
    "stacked": lambda code, out: torch.stack([out, torch.nn.functional.pad(code, (2, 3))]),
    "in two parts": lambda code, out: torch.cat([out, code], 1).split([9, 2], 1),
    "with probabilities": lambda _, out: torch.cat([out, out.softmax(1)], 1),
    "twice in one tensor": lambda _, out: torch.cat([out, out], 1),
    "twice, scaled": lambda _, out: torch.cat([out, 3 * out.flip(1)], 1),
    "twice, stacked": lambda _, out: torch.stack([out, out.tanh()], 2),
    "a part of the output first": lambda _, out: (out[:, :3], out),
    "a part of the output last": lambda _, out: (out, out[:, 2:].relu()),
    "everything twice": lambda code, out: torch.cat([out, code, out.exp(), code.exp()], 1),
}


def padded(out):
    return torch.nn.functional.pad(out, (0, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", RETURNS)
def test_hidden_layers_that_are_returned_add_none(name):
    expected = neuron_graph(Autoencoder(lambda _, out: out), example_inputs=POINTS)
    assert expected.layer_sizes == [8, 6, 3, 6, 8]
    assert_same(neuron_graph(Autoencoder(RETURNS[name]), example_inputs=POINTS), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("code last", "in one tensor", "about the output", "activated"),
        *("with probabilities", "twice in one tensor", "a part of the output first"),
    ],
)
def test_hidden_layers_in_the_outputs_of_an_onnx_file_add_none(name, tmp_path):
    plain = onnx_models.exported(Autoencoder(lambda _, out: out), POINTS, tmp_path, "plain.onnx")
    both = onnx_models.exported(Autoencoder(RETURNS[name]), POINTS, tmp_path, "both.onnx")
    found, expected = neuron_graph(both), neuron_graph(plain)
    assert found.layer_sizes == expected.layer_sizes == [8, 6, 3, 6, 8]
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


@pytest.mark.slow
def test_hidden_layers_in_the_outputs_of_a_keras_model_add_none():
    keras_networks = pytest.importorskip("keras_networks")
    keras, layers = keras_networks.keras, keras_networks.layers

    def graph(returns):
        x = layers.Input((8,))
        code = layers.Dense(3, "relu", name="b")(layers.Dense(6, "relu", name="a")(x))
        out = layers.Dense(8, name="d")(layers.Dense(6, "relu", name="c")(code))
        return neuron_graph(keras_networks.randomized(keras.Model(x, returns(code, out))))

    expected = graph(lambda _, out: out)
    assert expected.layer_sizes == [8, 6, 3, 6, 8]
    assert_same(graph(lambda code, out: [out, code]), expected)
    assert_same(graph(lambda code, out: layers.Concatenate()([code, out])), expected)
    assert_same(graph(lambda _, out: layers.Concatenate()([out, layers.Softmax()(out)])), expected)
    assert_same(graph(lambda _, out: layers.Concatenate()([out, out])), expected)
    assert_same(graph(lambda _, out: [out[:, :3], out]), expected)
    assert_same(graph(lambda code, out: layers.Reshape((11, 1))(join(layers, code, out))), expected)
    assert_same(graph(lambda code, out: layers.ReLU()(join(layers, code, out))), expected)


def join(layers, code, out):
    return layers.Concatenate()([out, code[:, 1:], code[:, :1]])


def test_features_of_a_cnn_beside_its_logits():
    """The dense part, which reads them, is left out of the graph; they are still its last layer."""

    def forward(self, x, returns):
        features = self.b(self.a(x)).mean((2, 3))
        logits = self.c(features)
        return {0: logits, 1: (logits, features), 2: torch.cat([logits, features], 1)}[returns]

    parts = {"a": conv(2, 4), "b": conv(4, 6), "c": linear(6, 3)}
    image = torch.zeros(1, 2, 4, 4)
    expected, beside, joined = (
        neuron_graph(Forward(forward, **parts), example_inputs=(image, returns))
        for returns in range(3)
    )
    assert_same(beside, expected)
    assert_same(joined, expected)


def test_sums_of_outputs_are_layers_beside_them():
    def forward(self, x):
        h, g = self.a(x), self.b(x)
        return h, torch.cat([h + g, h - g, h.mean(1, keepdim=True)], 1), g

    model = Forward(forward, a=linear(8, 3), b=linear(8, 3))
    found = neuron_graph(model, example_inputs=POINTS)
    assert [layer.n_neurons for layer in found.layers] == [8, 8, 3, 3, 1, 3]


def test_several_heads_are_layers_of_their_own():
    def forward(self, x):
        h = self.a(x)
        return self.b(h), self.c(h)

    model = Forward(forward, a=linear(8, 6), b=linear(6, 3), c=linear(6, 4))
    assert neuron_graph(model, example_inputs=POINTS).layer_sizes == [8, 6, 6, 3, 4]


def test_an_output_with_new_neurons_is_a_layer():
    """Half of a layer is read on."""

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


def test_one_tensor_of_several_outputs_is_as_these_outputs():
    """Half of a layer is read on, a sum holds new neurons, and nothing reads a head."""

    def forward(self, x, joined):
        h, side = self.a(x), self.d(x)
        outputs = h, self.b(h[:, :2]) + h[:, 2:], side
        return torch.cat(outputs, 1) if joined else outputs

    model = randomized(Forward(forward, a=linear(8, 5), b=linear(2, 3), d=linear(8, 4)))
    found, expected = (
        neuron_graph(model, example_inputs=(POINTS, joined)) for joined in (True, False)
    )
    assert expected.layer_sizes == [8, 8, 2, 5, 3, 4]
    assert_same(found, expected)


def test_a_mean_beside_what_reads_it():
    """What arrives at an output arrives at the decoder too, with more beside it."""

    def forward(self, x):
        mean, log = self.a(x), self.b(x)
        return self.c(mean + torch.randn_like(log) * torch.exp(0.5 * log)), mean, log

    model = Forward(forward, a=linear(8, 3), b=linear(8, 3), c=linear(3, 8))
    found = neuron_graph(model, example_inputs=POINTS)
    assert [layer.n_neurons for layer in found.layers] == [8, 8, 3, 8]
