import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from clusterability import balance_, neuron_graph, normalize_, toy
from clusterability.errors import InputError
from clusterability.promoting import HiddenScales
from clusterability.training import build

WHOLE = ("input", "dense")


class Stack(nn.Sequential):
    """Modules in a row, with the shape of their input."""

    def __init__(self, shape, *modules):
        super().__init__(*modules)
        self.shape = shape


def mlp():
    return Stack((9,), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 7), nn.LeakyReLU(0.1)).append(
        nn.Linear(7, 3)
    )


def norm_before_relu():
    return Stack(
        (2, 8, 8),
        *(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
    )


def norm_after_pool():
    return Stack(
        (2, 8, 8),
        *(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.BatchNorm2d(6), nn.Dropout(0.3)),
        *(nn.Conv2d(6, 4, 3, groups=2, padding=1), nn.PReLU(4), nn.Flatten()),
        nn.Linear(36, 3),
    )


def norm_after_gelu():
    return Stack((5,), nn.Linear(5, 8), nn.GELU(), nn.BatchNorm1d(8), nn.Linear(8, 3))


def transposed():
    return Stack(
        (3, 5, 5),
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3, groups=2), nn.ReLU()),
        nn.Conv2d(4, 2, 1),
    )


class Joined(nn.Module):
    """Two branches whose sum, and whose concatenation with it, are read."""

    shape = (6,)

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(6, 5)
        self.c, self.d = nn.Linear(5, 4), nn.Linear(9, 3)

    def forward(self, x):
        both = torch.relu(self.a(x) - 2 * self.b(x))
        return self.d(torch.cat([torch.relu(self.c(both)), both], 1))


class Residual(nn.Module):
    shape = (2, 6, 6)

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.fall, self.norm1 = nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.rise, self.norm2 = nn.Conv2d(6, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.norm2(self.rise(torch.relu(self.norm1(self.fall(x))))))
        return self.head(x.mean((2, 3)))


class Preactivated(Residual):
    def forward(self, x):
        x = self.stem(x)
        x = x + self.rise(torch.relu(self.norm1(self.fall(torch.relu(self.norm(x))))))
        return self.head(torch.relu(self.norm2(x)).mean((2, 3)))


CHAINS = [mlp, norm_before_relu, norm_after_pool, norm_after_gelu, transposed, Joined, Preactivated]


def made(make, dtype=torch.float64, seed=0):
    """A network whose biases, statistics and scales are drawn too."""
    torch.manual_seed(seed)
    model = make()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.3 * torch.randn(tensor.shape)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_var.copy_(torch.rand(part.running_var.shape) + 0.2)
    return model.to(dtype).eval()


def batch(model, dtype):
    return torch.randn(7, *model.shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def spoil(model, seed=0):
    """Rescale hidden neurons at random."""
    scales = HiddenScales(model, torch.zeros(1, *model.shape).to(next(model.parameters())))
    generator = torch.Generator().manual_seed(seed)
    scales.apply_(torch.randn(scales.n_groups, generator=generator).exp().double())


def same_function(model, change, dtype):
    x = batch(model, dtype)
    expected, training = model(x), None
    is_plain = not any(isinstance(m, nn.Dropout) or m._forward_pre_hooks for m in model.modules())
    if is_plain:
        training = copy.deepcopy(model).train()(x)
    change(model)
    largest = float(expected.detach().abs().max())
    tolerance = 1e-6 * max(1, largest) if dtype == torch.float32 else 1e-12 * max(1, largest)
    torch.testing.assert_close(model(x), expected, rtol=0, atol=2 * tolerance)
    if training is not None and dtype == torch.float64:
        torch.testing.assert_close(copy.deepcopy(model).train()(x), training)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", CHAINS)
def test_normalize_leaves_the_function(make, dtype):
    model = made(make, dtype)
    before = copy.deepcopy(model.state_dict())
    same_function(model, lambda m: normalize_(m, input_shape=m.shape), dtype)
    changed = [n for n, w in model.state_dict().items() if not torch.equal(w, before[n])]
    assert len(changed) > 2
    assert not any("running" in name for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [*CHAINS, Residual])
def test_balance_leaves_the_function_and_evens_strengths(make, dtype):
    model = made(make, dtype)
    same_function(model, lambda m: balance_(m, input_shape=m.shape), dtype)
    scales = HiddenScales(model, torch.zeros(1, *model.shape, dtype=dtype))
    graph = neuron_graph(model, include=WHOLE, input_shape=model.shape)
    given, left = sums(graph)
    n_groups, groups = scales.n_groups, scales._ties.groups
    for group in range(n_groups):
        of_group = groups == group
        assert float(given[of_group].sum()) == pytest.approx(
            float(left[of_group].sum()), rel=1e-6 if dtype == torch.float64 else 1e-4
        )


@pytest.mark.slow
@pytest.mark.parametrize("make", [*CHAINS, Residual])
def test_balance_does_not_depend_on_where_it_begins(make):
    model = made(make)
    other = copy.deepcopy(model)
    spoil(other)
    for each in (model, other):
        balance_(each, input_shape=each.shape)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name], rtol=1e-6, atol=1e-9)


def sums(graph):
    """Strength into and out of each neuron."""
    given, left = torch.zeros(2, graph.n_neurons, dtype=torch.float64)
    for block in graph.blocks:
        a = block.strengths.detach().double()
        given[graph.offsets[block.target] :][: a.shape[1]] += a.sum(0)
        left[graph.offsets[block.source] :][: a.shape[0]] += a.sum(1)
    return given, left


def naive_algorithm_2(weights, biases):
    for i in range(len(weights) - 1):
        for n in range(len(weights[i])):
            x = math.sqrt(sum(float(v) ** 2 for v in weights[i][n]) + float(biases[i][n]) ** 2)
            if x != 0:
                weights[i][n] *= math.sqrt(2) / x
                biases[i][n] *= math.sqrt(2) / x
                weights[i + 1][:, n] *= x / math.sqrt(2)


def test_algorithm_2_is_followed():
    model = made(mlp)
    linear = [part for part in model if isinstance(part, nn.Linear)]
    weights = [part.weight.detach().clone() for part in linear]
    biases = [part.bias.detach().clone() for part in linear]
    naive_algorithm_2(weights, biases)
    normalize_(model)
    for part, weight, bias in zip(linear, weights, biases, strict=True):
        torch.testing.assert_close(part.weight.detach(), weight)
        torch.testing.assert_close(part.bias.detach(), bias)


@pytest.mark.slow
def test_norms_of_channels_with_batch_norm():
    model = made(norm_before_relu)
    normalize_(model, target=3.0, input_shape=model.shape)
    for conv, norm in ((model[0], model[1]), (model[4], model[5])):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        square = (conv.weight.flatten(1) * scale[:, None]).square().sum(1) + norm.bias.square()
        torch.testing.assert_close(square.sqrt(), torch.full_like(square, 3.0))
    normalize_(model, with_bias=False, input_shape=model.shape)
    norms = model[8].weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, math.sqrt(2)))


def test_dead_neurons_are_left_alone():
    model = made(mlp)
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0, 0
        model[2].weight[:, 5] = 0
    before = model[2].weight[:, 2].detach().clone()
    for change in (normalize_, balance_):
        same_function(model, change, torch.float64)
        assert all(bool(w.isfinite().all()) for w in model.state_dict().values())
    twin = made(mlp)
    with torch.no_grad():
        twin[0].weight[2], twin[0].bias[2], twin[2].weight[:, 5] = 0, 0, 0
        first = twin[2].weight[:, 2].abs().sum()
    balance_(twin)
    assert float(twin[2].weight[:, 2].detach().abs().sum()) != 0
    assert float(first) == pytest.approx(float(before.abs().sum()))


def test_masked_weights_and_frozen_ones():
    model = made(mlp)
    prune.l1_unstructured(model[2], "weight", 0.5)
    model[0].weight.requires_grad_(False)
    same_function(model, normalize_, torch.float64)
    assert int((model[2].weight == 0).sum()) == 28


def test_the_trace_is_used_again():
    model = made(mlp)
    scales = HiddenScales(model)
    scales.normalize_()
    with torch.no_grad():
        model[2].weight *= 5
    same_function(model, lambda _: scales.normalize_(), torch.float64)
    square = model[2].weight.square().sum(1) + model[2].bias.square()
    torch.testing.assert_close(square, torch.full_like(square, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("which", [slice(None), slice(2)])
def test_neurons_that_are_returned_beside_others_are_left_alone(which):
    class Deep(nn.Module):
        shape = (4,)

        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x):
            h = torch.relu(self.a(x))
            return torch.cat([self.c(torch.relu(self.b(h))), 2 * h[:, which].mean(1)[:, None]], 1)

    for change in (balance_, normalize_):
        model = made(Deep)
        before = model.b.weight.clone()
        same_function(model, change, torch.float64)
        assert not torch.equal(model.b.weight, before)


def test_neurons_that_are_returned_are_left_alone():
    class Both(nn.Module):
        shape = (4,)

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x):
            h = torch.relu(self.a(x))
            return self.b(h), h

    model = made(Both)
    before = copy.deepcopy(model.state_dict())
    balance_(model)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_a_skip_with_one_scale_is_refused_by_normalize_only():
    with pytest.raises(InputError, match=r"a skip connection gives .* one scale.* use balance_"):
        normalize_(made(Residual), input_shape=Residual.shape)


class DenseResidual(nn.Module):
    """A skip over two of four linear layers, each of which reads what the one before gives."""

    shape = (5,)

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(5, 6), nn.Linear(6, 3)
        self.fall, self.rise = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(x + self.rise(torch.relu(self.fall(x)))))


def test_a_skip_over_linear_layers_is_no_chain():
    model = made(DenseResidual)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=r"a skip connection gives .* one scale"):
        normalize_(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    same_function(model, balance_, torch.float64)


def test_a_neuron_read_with_and_without_batch_norm_is_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
            self.b, self.c = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            h = self.a(x)
            return self.b(h) + self.c(self.norm(h))

    with pytest.raises(InputError, match=r"'a.weight' gives is read by a batch norm and by"):
        balance_(Two())


def shared():
    linear = nn.Linear(5, 5)
    return nn.Sequential(linear, nn.ReLU(), linear, nn.ReLU(), nn.Linear(5, 2))


def shared_bias():
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2))
    model[2].bias = model[0].bias
    return model


@pytest.mark.parametrize("make", [shared, shared_bias])
def test_shared_parameters_are_refused(make):
    with pytest.raises(InputError, match="used in several places"):
        balance_(make())


@pytest.mark.parametrize("name", ["0.weight", "0.bias"])
def test_nan_is_refused(name):
    model = made(mlp)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] = torch.nan
    with pytest.raises(InputError, match=r"NaN"):
        normalize_(model)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"target is 0, expected a number of at least 1e-30"):
        normalize_(mlp(), target=0)
    for target in (1e-300, 1e300):
        with pytest.raises(InputError, match=r"target is 1e"):
            normalize_(mlp(), target=target)
    with pytest.raises(InputError, match="with_bias is 1, expected True or False"):
        normalize_(mlp(), with_bias=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "small-cnn"])
def test_the_papers_networks(name):
    shape = (1, 28, 28)
    model = build(name, shape, 10, generator=np.random.default_rng(0)).eval()
    model.shape = shape
    for change in (balance_, normalize_):
        same_function(model, lambda m, c=change: c(m, input_shape=shape), torch.float32)


def test_residual_mlps_of_toy():
    model = toy.ResidualMLP()
    x = torch.randn(3, 4)
    expected = model(x)
    balance_(model)
    torch.testing.assert_close(model(x), expected)
