"""A traced module follows training, and tracing leaves it untouched."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from clusterability.sources import neuron_graph, trace
from clusterability.tracing.modules import trace_module
from small_modules import Forward, linear, randomized

ALL = ("input", "dense")
X = torch.zeros(1, 3)


def cnn():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Dropout()),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.BatchNorm1d(5),
        nn.Linear(5, 2),
    )


def same_blocks(first, second):
    pairs = zip(first.blocks, second.blocks, strict=True)
    return all(torch.equal(a.strengths, b.strengths) for a, b in pairs)


def everything(graph):
    return sum(block.strengths.sum() for block in graph.blocks)


@pytest.mark.slow
def test_gradient_reaches_the_weights_and_the_batch_norms():
    model = cnn()
    everything(neuron_graph(model, include=ALL)).backward()
    assert torch.equal(model[0][0].weight.grad.sign(), model[0][0].weight.sign())
    missing = {name for name, p in model.named_parameters() if p.grad is None}
    assert missing == {name for name, _ in model.named_parameters() if name.endswith("bias")}
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.grad is not None)


def masked_and_scaled(self, x):
    return self.b(F.linear(x, self.w * self.mask.exp()) * self.gain / self.divisor.square())


def test_gradient_reaches_whatever_strengths_depend_on():
    names = {"w": (4, 3), "mask": (4, 1), "gain": (4,), "divisor": ()}
    parts = {name: nn.Parameter(torch.ones(shape)) for name, shape in names.items()}
    model = randomized(Forward(masked_and_scaled, **parts, b=linear(4, 2)))
    traced = trace_module(model, (X,))
    for _ in range(2):  # as in training: the graph is built anew
        model.zero_grad()
        everything(traced.wiring.graph(traced.parameters)).backward()
        assert all(p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.slow
def test_the_graph_follows_training():
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(3, 4)), nn.BatchNorm1d(4), nn.Linear(4, 2)
    )
    prune.random_unstructured(model[2], "weight", 0.5)
    traced = trace_module(model, (X,))
    before = traced.wiring.graph(traced.parameters)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
    after = traced.wiring.graph(traced.parameters)
    assert not same_blocks(before, after)
    assert same_blocks(after, neuron_graph(model))


def test_computed_weights_follow_training():
    model = Forward(
        masked_and_scaled,
        **{name: nn.Parameter(torch.ones(4, 3)) for name in ("w", "mask")},
        gain=nn.Parameter(torch.ones(4)),
        divisor=torch.ones(()),
        b=linear(4, 2),
    )
    traced = trace_module(model, (X,))
    randomized(model, 3)
    found = traced.wiring.graph(traced.parameters).blocks[0].strengths
    weight = model.w * model.mask.exp() * model.gain[:, None] / model.divisor**2
    torch.testing.assert_close(found, weight.abs().T)


@pytest.mark.slow
def test_parameters_can_be_looked_up_by_name():
    model = cnn()
    parameters = trace_module(model).parameters
    assert len(parameters) == len(list(parameters)) == len(list(model.parameters()))
    assert all(parameters[name] is value for name, value in model.named_parameters())
    assert parameters["1.2.running_var"] is model[1][2].running_var
    for name in ("1.2.nothing", "nothing.weight", ""):
        with pytest.raises(KeyError):
            parameters[name]


@pytest.mark.slow
def test_wiring_holds_no_tensors():
    wiring = trace_module(randomized(cnn())).wiring
    assert "tensor" not in repr(wiring)
    assert hash(wiring) == hash(trace_module(randomized(cnn(), 1)).wiring)


def snapshot(model):
    """Everything of a module that tracing must not change."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parts = list(model.modules())
    return (
        {name: (id(t), t._version, t.requires_grad, t.grad) for name, t in tensors.items()},
        [part.training for part in parts],
        [{name: id(value) for name, value in vars(part).items()} for part in parts],
        [list(part._forward_hooks) + list(part._forward_pre_hooks) for part in parts],
    )


def pruned(model):
    prune.l1_unstructured(model[0][0], "weight", 0.5)
    return model


def parametrized(model):
    parametrizations.spectral_norm(model[0][0])
    return model


def hooked(model):
    model[1].register_forward_hook(lambda *_: pytest.fail("a hook was called"))
    model.register_forward_pre_hook(lambda *_: pytest.fail("a hook was called"))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("change", [lambda model: model, pruned, parametrized, hooked])
@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_untouched(change, training):
    model = change(randomized(cnn())).train(training)
    model[1].eval()
    values = {name: value.clone() for name, value in model.state_dict().items()}
    before = snapshot(model)
    state = torch.random.get_rng_state()
    trace(model)
    assert snapshot(model) == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_a_cache_of_parametrizations_is_left_alone():
    model = parametrized(randomized(cnn()))
    expected = neuron_graph(model)
    with parametrize.cached():
        kept = model[0][0].weight
        assert same_blocks(neuron_graph(model), expected)
        assert model[0][0].weight is kept
        assert len(parametrize._cache) == 1


@pytest.mark.slow
def test_example_inputs_are_left_untouched():
    x = torch.randn(2, 3)
    before = x.clone()
    model = Forward(lambda self, x: self.a(x.mul_(2)), a=linear(3, 2))
    trace(model, example_inputs=x)
    assert torch.equal(x, before)
