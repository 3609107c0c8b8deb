import numpy as np
import pytest
import torch
from torch import nn

from clusterability.training import build
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.samples import Samples
from training_cases import PlainTraining, small_mlp, weight_penalties

CPU = torch.device("cpu")
WIDTHS = (7, 6, 5, 4)
WEIGHTS = [(0.01, 0.0), (0.003, 0.02), (0.0, 0.05)]
NONE = [(0.0, 0.0)] * 3


def generators(seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def data(is_regression, n=23):
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(n, WIDTHS[0], generator=generator)
    if is_regression:
        y = torch.randn(n, WIDTHS[-1], generator=generator)
        return Samples(x, y, True), y
    y = torch.randint(0, WIDTHS[-1], (n,), generator=generator)
    return Samples(x, nn.functional.one_hot(y, WIDTHS[-1]).to(x.dtype), False), y


def batches(n_epochs, seeds, n=23, size=5):
    """The last batch of an epoch is smaller."""
    for epoch in range(n_epochs):
        orders = [np.random.default_rng((seed, epoch)).permutation(n) for seed in seeds]
        yield from torch.split(torch.from_numpy(np.stack(orders)), size, dim=1)


SPARSITIES = {10: 0.3, 14: 0.5, 18: 0.61}
KINDS = [
    (False, 0.0, NONE, {}),
    (True, 0.0, NONE, {}),
    (False, 0.0, WEIGHTS, {}),
    (False, 0.5, NONE, {}),
    (True, 0.3, WEIGHTS, SPARSITIES),
    (False, 0.5, WEIGHTS, SPARSITIES),
]


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("is_regression", "rate", "weights", "sparsities"), KINDS)
def test_is_the_plain_loop(is_regression, rate, weights, sparsities):
    seeds = (3, 4)
    samples, y = data(is_regression)
    stack = MLPStack([small_mlp(WIDTHS, rate, s) for s in seeds], 0.01, CPU)
    plain = [PlainTraining(small_mlp(WIDTHS, rate, s), weights, 0.01) for s in seeds]
    stack.start_epoch(generators(seeds), penalties=weight_penalties(stack, weights))
    for training, generator in zip(plain, generators(seeds), strict=True):
        training.generator = generator
    for step, indices in enumerate(batches(5, seeds)):
        if step in sparsities:
            stack.prune(sparsities[step])
        losses, _ = stack.step(samples, indices)
        for run, training in enumerate(plain):
            if step in sparsities:
                training.prune(sparsities[step])
            loss = training.step(samples.x[indices[run]], y[indices[run]])
            assert losses[run].item() == pytest.approx(loss, rel=1e-9)
    for run, training in enumerate(plain):
        for name, value in training.network.state_dict().items():
            assert torch.allclose(stack.weights(run)[name], value, rtol=0, atol=1e-9), name
            if sparsities and name.endswith("weight"):
                assert (value == 0).sum() == round(0.61 * value.numel())
                assert torch.equal(value == 0, stack.weights(run)[name] == 0)


def test_the_plain_loop_in_single_precision():
    samples, y = data(False)
    stack = MLPStack([small_mlp()], 0.001, CPU)
    plain = PlainTraining(small_mlp(), NONE, 0.001)
    stack.start_epoch(())
    for indices in batches(4, (1,)):
        stack.step(samples, indices)
        plain.step(samples.x[indices[0]], y[indices[0]])
    for name, value in plain.network.state_dict().items():
        assert torch.allclose(stack.weights(0)[name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.5, 0.3])
def test_a_stack_is_each_alone(rate):
    seeds = (5, 6, 7)
    samples, _ = data(False)

    def trained(seeds):
        networks = [small_mlp(WIDTHS, rate, s) for s in seeds]
        stack = MLPStack(networks, 0.001, CPU)
        stack.start_epoch(generators(seeds), penalties=weight_penalties(stack, WEIGHTS))
        for step, indices in enumerate(batches(10, seeds)):
            if step >= 25 and step % 5 == 0:
                stack.prune(0.3 + step / 100)
            stack.step(samples, indices)
        assert step == 49
        return [stack.weights(run) for run in range(len(seeds))]

    together = trained(seeds)
    for weights, seed in zip(together, seeds, strict=True):
        (alone,) = trained([seed])
        for name, value in alone.items():
            assert torch.allclose(value, weights[name], rtol=0, atol=1e-5)
    assert not torch.allclose(together[0]["0.weight"], together[1]["0.weight"], atol=0.01)


class Recorder:
    """A penalty that notes what it is given, and pulls one parameter down."""

    def __init__(self, name):
        self.name, self.seen = name, None

    def add_gradient(self, parameters, gradients):
        self.seen = {name: value.clone() for name, value in parameters.items()}
        gradients[self.name].fill_(1.0)


def test_a_penalty_sees_every_parameter_of_every_network():
    samples, _ = data(False)
    networks = [small_mlp(seed=s) for s in (1, 2)]
    before = [{n: v.clone() for n, v in network.state_dict().items()} for network in networks]
    stack, penalty = MLPStack(networks, 0.25, CPU), Recorder("2.bias")
    stack.start_epoch((), penalties=[penalty])
    stack.step(samples, torch.arange(23).expand(2, 23))
    for run, state in enumerate(before):
        assert penalty.seen.keys() == state.keys()
        assert all(torch.equal(penalty.seen[name][run], state[name]) for name in state)
        after = stack.weights(run)["2.bias"]
        expected = state["2.bias"] - 0.25  # the first step of Adam
        assert torch.allclose(after, expected, atol=1e-6)


@pytest.mark.usefixtures("double")
def test_gradient_of_one_step_is_autograds():
    samples, y = data(False)
    network = small_mlp()
    stack = MLPStack([network], 0.01, CPU)
    stack.start_epoch(())
    stack.step(samples, torch.arange(23)[None])
    nn.functional.cross_entropy(network(samples.x), y).backward()
    expected = {name: p.grad for name, p in network.named_parameters()}
    assert stack.gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(stack.gradients[name][0], gradient, atol=1e-12), name


def test_state_round_trip_is_exact():
    seeds = (1, 2)
    samples, _ = data(False)
    steps = list(batches(6, seeds))

    def go_on(stack):
        stack.start_epoch(generators((8, 9)), penalties=weight_penalties(stack, WEIGHTS))
        for indices in steps[15:]:
            stack.step(samples, indices)
        return stack.state()

    stack = MLPStack([small_mlp(WIDTHS, 0.5, s) for s in seeds], 0.01, CPU)
    stack.start_epoch(generators(seeds), penalties=weight_penalties(stack, WEIGHTS))
    for indices in steps[:15]:
        stack.prune(0.4)
        stack.step(samples, indices)
    saved = stack.state()
    kept = {name: value.clone() for name, value in saved.items()}
    expected = go_on(stack)
    assert all(torch.equal(saved[name], kept[name]) for name in kept)  # it was a copy
    other = MLPStack([small_mlp(WIDTHS, 0.5, s) for s in (3, 4)], 0.01, CPU)
    for state in (saved, saved):  # also into one that has gone on
        other.load_state(state)
        found = go_on(other)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert all(torch.equal(saved[name], kept[name]) for name in kept)


def test_state_before_the_first_step():
    stack = MLPStack([small_mlp()], 0.01, CPU)
    other = MLPStack([small_mlp(seed=1)], 0.01, CPU)
    other.prune(0.5)
    other.load_state(stack.state())
    assert other.mask is None
    assert torch.equal(other.flat, stack.flat)
    assert not other.adam.state


def test_a_phase_begins_adam_afresh_and_keeps_the_masks():
    samples, _ = data(False)
    stack = MLPStack([small_mlp()], 0.01, CPU)
    stack.start_epoch(())
    stack.prune(0.5)
    stack.step(samples, torch.arange(23)[None])
    before = stack.flat.clone()
    stack.start_phase()
    stack.step(samples, torch.arange(23)[None])
    # Adam's first step is the learning rate, wherever there is a gradient.
    change = (stack.flat - before).abs()
    assert torch.allclose(change[change > 0], torch.tensor(0.01), rtol=0.05)
    assert sum(int((k == 0).sum()) for k in stack.kernels) == sum(
        round(0.5 * k.numel()) for k in stack.kernels
    )


@pytest.mark.parametrize("dropout", [False, True])
def test_weights_give_the_modules_outputs(dropout):
    networks = [build("small-mlp", (1, 4, 3), 5, dropout=dropout) for _ in range(3)]
    stack = MLPStack(networks, 0.01, CPU)
    x = torch.rand(9, 1, 4, 3)
    outputs = stack.outputs(x)
    assert outputs.shape == (3, 9, 5)
    for run in range(3):
        other = build("small-mlp", (1, 4, 3), 5, dropout=dropout).eval()
        other.load_state_dict(stack.weights(run))
        with torch.no_grad():
            assert torch.allclose(other(x), outputs[run], atol=1e-6)


def test_right_predictions_are_counted_before_the_step():
    samples, y = data(False)
    network = small_mlp()
    right = (network(samples.x).argmax(1) == y).sum().item()
    stack = MLPStack([network], 1.0, CPU)
    stack.start_epoch(())
    assert stack.step(samples, torch.arange(23)[None])[1].tolist() == [right]
