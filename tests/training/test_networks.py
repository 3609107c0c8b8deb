import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from clusterability.training import NETWORKS, build
from clusterability.training.architectures import VGG_DROPOUT, VGG_FILTERS

GRAY, COLOR = (1, 28, 28), (3, 32, 32)
SHAPES = {
    "mlp": (GRAY, 10, [(256, 784), (256, 256), (256, 256), (256, 256), (10, 256)]),
    "mlp-regression": ((2,), 512, [(256, 2), (256, 256), (256, 256), (256, 256), (512, 256)]),
    "small-mlp": (GRAY, 10, [(64, 784), (64, 64), (64, 64), (10, 64)]),
    "small-cnn": (
        GRAY,
        10,
        [(64, 1, 3, 3), (64, 64, 3, 3), (64, 64, 3, 3), (128, 64 * 7 * 7), (10, 128)],
    ),
    "vgg": (
        COLOR,
        10,
        [
            *[(64, 3, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3)],
            *[(256, 128, 3, 3), (256, 256, 3, 3), (256, 256, 3, 3)],
            *[(512, 256, 3, 3), *[(512, 512, 3, 3)] * 5],
            *[(512, 512), (512, 512), (10, 512)],
        ],
    ),
}
# Counted by hand; those of VGG-16's convolutions are the well-known 14,714,688.
N_PARAMETERS = {
    "mlp": 400_906,
    "mlp-regression": 329_728,
    "small-mlp": 59_210,
    "small-cnn": 477_322,
    "vgg": 14_714_688 + 8_448 + 262_656 + 1_024 + 262_656 + 5_130,
}


@pytest.fixture(scope="module")
def networks():
    return {
        name: build(name, shape, n_outputs, generator=np.random.default_rng(3))
        for name, (shape, n_outputs, _) in SHAPES.items()
    }


def weighted(network):
    return [m for m in network if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_counts(networks, name):
    shape, n_outputs, expected = SHAPES[name]
    network = networks[name]
    assert [tuple(m.weight.shape) for m in weighted(network)] == expected
    assert sum(p.numel() for p in network.parameters()) == N_PARAMETERS[name]
    with torch.no_grad():
        assert network(torch.zeros(2, *shape)).shape == (2, n_outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_glorot_uniform(networks, name):
    for module in weighted(networks[name]):
        w = module.weight.detach().double()
        window = w[0, 0].numel()
        limit = (6 / (w.shape[1] * window + w.shape[0] * window)) ** 0.5
        assert limit * (1 - 30 / w.numel()) < w.abs().max() <= limit * (1 + 1e-6)
        variance, n = limit**2 / 3, w.numel()
        assert abs(w.mean()) < 5 * (variance / n) ** 0.5
        # The variance of w^2 of a uniform is 4/45 l^4.
        assert abs(w.square().mean() - variance) < 5 * limit**2 * (4 / 45 / n) ** 0.5
        assert not module.bias.any()


def test_glorot_takes_numpys_numbers_in_order():
    network = build("small-mlp", (3,), 2, generator=np.random.default_rng(5))
    rng = np.random.default_rng(5)
    for module in weighted(network):
        n_out, n_in = module.weight.shape
        limit = (6 / (n_in + n_out)) ** 0.5
        expected = rng.uniform(-limit, limit, (n_out, n_in)).astype(np.float32)
        assert np.array_equal(module.weight.detach().numpy(), expected)
    assert not torch.equal(build("small-mlp", (3,), 2)[1].weight, network[1].weight)


def test_dropout_layers_do_not_change_what_is_drawn():
    first, second = (
        build("small-cnn", (1, 8, 8), 10, dropout=d, generator=np.random.default_rng(1))
        for d in (False, True)
    )
    assert first.state_dict().keys() == second.state_dict().keys()
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def kinds(network):
    return [type(m).__name__ for m in network]


def rates(network):
    return [m.p for m in network if isinstance(m, nn.Dropout)]


def test_mlp_has_dropout_after_each_hidden_layer():
    network = build("mlp", (4,), 3, dropout=True)
    assert kinds(network) == ["Flatten", *["Linear", "ReLU", "Dropout"] * 4, "Linear"]
    assert rates(network) == [0.5] * 4
    assert kinds(build("mlp", (4,), 3)) == ["Flatten", *["Linear", "ReLU"] * 4, "Linear"]


@pytest.mark.parametrize("name", ["mlp", "small-cnn"])
def test_one_rate_for_every_dropout_layer(name):
    network = build(name, (1, 8, 8), 3, dropout=True, dropout_rate=0.2)
    assert rates(network) == [0.2] * 4


def test_a_rate_needs_a_dropout_layer():
    with pytest.raises(
        InputError, match=r"dropout_rate is 0.2, but the network has no torch.nn.Dr"
    ):
        build("mlp", (4,), 3, dropout_rate=0.2)


def test_small_cnn_order():
    network = build("small-cnn", (1, 8, 8), 3, dropout=True)
    conv, pool = ["Conv2d", "ReLU"], ["MaxPool2d"]
    block = [*conv, *pool, "Dropout"]
    head = ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert kinds(network) == [*conv, "Dropout", *block, *block, *head]
    assert rates(network) == [0.25, 0.25, 0.25, 0.5]


@pytest.mark.slow
def test_vgg_order():
    network = build("vgg", COLOR, 10, dropout=True)
    dropout = [0.3, 0, 0.4, 0, 0.4, 0.4, 0, 0.4, 0.4, 0, 0.4, 0.4, 0.5]
    expected = []
    for i, rate in enumerate(dropout, 1):
        expected += ["Conv2d", "ReLU", *(["MaxPool2d"] if i in (2, 4, 7, 10, 13) else [])]
        expected += ["BatchNorm2d", *(["Dropout"] if rate else [])]
    expected += ["Flatten", "Linear", "ReLU", "BatchNorm1d", "Dropout"]
    expected += ["Linear", "ReLU", "Linear"]
    assert kinds(network) == expected
    assert rates(network) == [*(rate for rate in dropout if rate), 0.5]
    norms = [m for m in network if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}
    assert len(VGG_FILTERS) == len(VGG_DROPOUT) == 13


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("small-cnn", (1, 3, 28)),
        ("vgg", (3, 32, 31)),
        ("vgg", (1, 28, 28)),
        ("small-cnn", (784,)),
        ("vgg", (32, 32)),
    ],
)
def test_too_small_images(name, shape):
    with pytest.raises(InputError, match="train an MLP"):
        build(name, shape, 10)


def test_smallest_images():
    assert build("small-cnn", (1, 4, 4), 2)(torch.zeros(1, 1, 4, 4)).shape == (1, 2)


def test_unknown_network():
    with pytest.raises(InputError, match="did you mean 'small-mlp'"):
        build("smal-mlp", (3,), 2)


@pytest.mark.slow
def test_graphs(networks):
    def sizes(name):
        shape = SHAPES[name][0]
        graph = neuron_graph(networks[name], example_inputs=torch.zeros(1, *shape))
        assert len(graph.blocks) == len(graph.layers) - 1
        return [layer.n_neurons for layer in graph.layers]

    assert sizes("small-cnn") == [64, 64, 64]
    assert sizes("vgg") == list(VGG_FILTERS)
    assert sizes("mlp") == [784, 256, 256, 256, 256, 10]
    assert sizes("small-mlp") == [784, 64, 64, 64, 10]
