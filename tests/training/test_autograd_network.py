import numpy as np
import pytest
import torch
from torch import nn

from clusterability.training import build
from clusterability.training.augmentation import draw_transformations, transform
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.samples import Samples
from training_cases import PlainTraining, weight_penalties

CPU = torch.device("cpu")
N = 19


def vgg_like(dropout):
    """The kinds of modules of the VGG, in its order."""
    modules = []
    for n_in, n_out in ((2, 6), (6, 5)):
        modules += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        modules += [nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01)]
        modules += [nn.Dropout(0.4)] if dropout else []
    modules += [nn.Flatten(), nn.Linear(20, 8), nn.ReLU()]
    modules += [nn.BatchNorm1d(8, eps=1e-3, momentum=0.01)]
    modules += [nn.Dropout(0.5)] if dropout else []
    return nn.Sequential(*modules, nn.Linear(8, 3))


def made(kind, dropout, seed=0):
    if kind == "vgg":
        network = vgg_like(dropout)
    else:
        network = build("small-cnn", (2, 8, 8), 3, dropout=dropout)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 5)
    return network


def data():
    generator = torch.Generator().manual_seed(9)
    x, y = torch.rand(N, 2, 8, 8, generator=generator), torch.arange(N) % 3
    return Samples(x, nn.functional.one_hot(y, 3).to(x.dtype), False), y


def batches(n_epochs, size=8):
    for epoch in range(n_epochs):
        order = torch.randperm(N, generator=torch.Generator().manual_seed(epoch))
        yield from torch.split(order[None], size, dim=1)


def weights_of(network):
    """Of L1 and of L2 on each layer."""
    n_layers = sum(isinstance(m, nn.Linear | nn.Conv2d) for m in network)
    return [(0.001, 0.0), *[(0.0, 0.01)] * (n_layers - 1)]


def start_epoch(ours, seed=None, transformations=None):
    """With the penalties, and dropout by this seed."""
    generators = () if seed is None else [torch.Generator().manual_seed(seed)]
    penalties = weight_penalties(ours, weights_of(ours.network))
    ours.start_epoch(generators, transformations, penalties)


def equal(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["small-cnn", "vgg"])
@pytest.mark.parametrize("dropout", [False, True])
def test_is_the_plain_loop(kind, dropout):
    samples, y = data()
    ours = AutogradNetwork(made(kind, dropout), 0.01, CPU)
    plain = PlainTraining(made(kind, dropout), weights_of(made(kind, dropout)), 0.01)
    plain.generator = torch.Generator().manual_seed(3)
    start_epoch(ours, 3)
    for step, indices in enumerate(batches(2)):
        if step in (2, 4):
            ours.prune(0.2 * step)
            plain.prune(0.2 * step)
        losses, n_right = ours.step(samples, indices)
        loss = plain.step(samples.x[indices[0]], y[indices[0]])
        assert losses.tolist() == pytest.approx([loss], rel=1e-8)
        assert 0 <= n_right.item() <= indices.shape[1]
    expected = plain.network.state_dict()
    found = ours.weights(0)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=0, atol=1e-8), name
    kernel = found["0.weight" if kind == "vgg" else "conv1.weight"]
    assert (kernel == 0).sum() == round(0.8 * kernel.numel())
    with torch.no_grad():
        outputs = plain.network.eval()(samples.x)
    assert torch.allclose(ours.outputs(samples.x)[0], outputs, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small-cnn", "vgg"])
def test_state_round_trip_is_exact(kind):
    samples, _ = data()
    steps = list(batches(2))

    def go_on(network):
        start_epoch(network, 5)
        for indices in steps[3:]:
            network.step(samples, indices)
        return network.state()

    first = AutogradNetwork(made(kind, True), 0.01, CPU)
    start_epoch(first, 4)
    for indices in steps[:3]:
        first.prune(0.4)
        first.step(samples, indices)
    saved = first.state()
    kept = {name: value.clone() for name, value in saved.items()}
    assert all(value.is_contiguous() for value in saved.values())  # as files need them
    expected = go_on(first)
    assert equal(saved, kept)
    other = AutogradNetwork(made(kind, True, 1), 0.01, CPU)
    for _ in range(2):
        other.load_state(saved)
        assert equal(other.state(), saved)
        assert equal(go_on(other), expected)


def test_dropout_follows_the_generator():
    samples, _ = data()

    def after_a_step(seed):
        network = AutogradNetwork(made("vgg", True), 0.01, CPU)
        start_epoch(network, seed)
        torch.manual_seed(seed + 100)  # has no part in it
        network.step(samples, torch.arange(N)[None])
        return network.weights(0)

    assert equal(after_a_step(1), after_a_step(1))
    assert not equal(after_a_step(1), after_a_step(2))


def test_a_phase_begins_adam_afresh():
    samples, _ = data()
    network = AutogradNetwork(made("vgg", False), 0.01, CPU)
    network.start_epoch(())
    network.step(samples, torch.arange(N)[None])
    before = network.weights(0)["0.weight"]
    network.start_phase()
    network.step(samples, torch.arange(N)[None])
    change = (network.weights(0)["0.weight"] - before).abs()
    assert torch.allclose(change[change > 0], torch.tensor(0.01), rtol=0.05)


def test_augmentation_moves_the_images_that_are_chosen():
    samples, y = data()
    maps = torch.from_numpy(draw_transformations(N, np.random.default_rng(0)))
    ours = AutogradNetwork(made("vgg", False), 0.01, CPU)
    plain = PlainTraining(made("vgg", False), weights_of(made("vgg", False)), 0.01)
    start_epoch(ours, transformations=maps)
    moved = transform(samples.x, maps)
    for indices in batches(1):
        losses, _ = ours.step(samples, indices)
        loss = plain.step(moved[indices[0]], y[indices[0]])
        assert losses.item() == pytest.approx(loss, rel=1e-4)
    assert not torch.allclose(moved, samples.x, atol=0.1)


class ScalePenalty:
    """The sum of all squared scales of batch norm, and what else it is given."""

    def value(self, parameters):
        self.parameters = parameters
        return sum(v.square().sum(1) for n, v in parameters.items() if n == "3.weight")

    def add_gradient(self, parameters, gradients):
        self.gradients = {name: value.clone() for name, value in gradients.items()}
        gradients["3.weight"].add_(parameters["3.weight"], alpha=2.0)


@pytest.mark.usefixtures("double")
def test_a_penalty_sees_scales_and_statistics_of_batch_norm():
    samples, y = data()
    ours, penalty = AutogradNetwork(made("vgg", False), 0.01, CPU), ScalePenalty()
    ours.start_epoch((), penalties=[penalty])
    plain = made("vgg", False)
    optimizer = torch.optim.Adam(plain.parameters(), 0.01, eps=1e-7)
    for indices in batches(1):
        ours.step(samples, indices)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(plain(samples.x[indices[0]]), y[indices[0]])
        (loss + plain[3].weight.square().sum()).backward()
        optimizer.step()
    expected = plain.state_dict()
    assert torch.allclose(ours.weights(0)["3.weight"], expected["3.weight"], atol=1e-9)
    value = penalty.value(ours.parameters)
    assert torch.allclose(value, expected["3.weight"].square().sum()[None])
    assert penalty.parameters.keys() == expected.keys()
    assert penalty.gradients.keys() == dict(plain.named_parameters()).keys()
    for state in (ours.weights(0), made("vgg", False, 1).state_dict()):
        ours.load_state({f"network.{name}": value for name, value in state.items()})
        for name, parameter in ours.parameters.items():  # alive, also after a state was loaded
            assert torch.equal(parameter, state[name][None]), name
