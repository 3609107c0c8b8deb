"""A monitor measures at due steps, keeps what it finds, and leaves the training as it is."""

import random
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability import ClusterabilityMonitor, InputError, measure
from clusterability.report.frames import numbers
from small_modules import Forward

QUICK = {"n_clusters": 2, "n_shuffles": 2, "n_init": 1, "workers": 1}


def mlp(seed=0):
    torch.manual_seed(seed)
    parts = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4))
    return nn.Sequential(*parts)


def shifting(model, x):
    """A forward pass that draws from every global generator, also while it is traced."""
    if not model.training:
        torch.manual_seed(0)
    noise = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002
    return model.net(x) + noise.float() * model.training


def state():
    """What each global generator draws next, without drawing it."""
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())  # noqa: NPY002


def train(model, each_step, n_steps=7):
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(n_steps):
        loss = model(torch.randn(5, 6)).square().mean()
        loss.backward()
        each_step(step)  # gradients lie ready, as in the middle of their accumulation
        optimizer.step()
        optimizer.zero_grad()
    return [
        *model.state_dict().values(),
        *(each["momentum_buffer"] for each in optimizer.state.values()),
    ]


def modes(model):
    return [(part.training, len(part._forward_hooks)) for part in model.modules()]


@pytest.mark.slow
def test_a_training_is_the_same_to_the_last_bit_with_and_without():
    plain, watched = (Forward(shifting, net=mlp()) for _ in range(2))
    calls = []
    watched.net[1].eval()  # frozen statistics stay frozen
    plain.net[1].eval()
    for each in (plain, watched):
        each.net[0].register_forward_hook(lambda *_: calls.append(1))
    monitor = ClusterabilityMonitor(watched, 2, example_inputs=torch.zeros(1, 6), **QUICK)
    before = modes(watched)
    expected, expected_state, n_calls = train(plain, lambda _: None), state(), len(calls)
    found = train(watched, monitor.step)
    assert state() == expected_state
    assert len(calls) == 2 * n_calls
    assert modes(watched) == before
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert monitor.steps == (0, 2, 4, 6)
    ncuts = [result.ncut for result in monitor.results]
    assert len(set(ncuts)) == 4
    assert numbers(monitor.results[-1]) != numbers(
        measure(watched, example_inputs=torch.zeros(1, 6), **QUICK)
    )


def test_gradients_are_left_alone():
    model = mlp()
    model(torch.ones(3, 6)).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    result = ClusterabilityMonitor(model, 1, **QUICK).step(0)
    after = [parameter.grad for parameter in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(block.strengths.requires_grad for block in result.graph.blocks)


def test_a_result_is_that_of_measure_also_under_autocast():
    def low_rank(model, x):
        return functional.linear(torch.relu(functional.linear(x, model.a @ model.b)), model.c)

    drawn = {"a": torch.randn(8, 2), "b": torch.randn(2, 6), "c": torch.randn(3, 8)}
    model = Forward(low_rank, **{name: nn.Parameter(each) for name, each in drawn.items()})
    options = {"example_inputs": torch.zeros(1, 6), **QUICK}
    expected = numbers(measure(model, **options))
    with torch.autocast("cpu", torch.bfloat16):
        found = ClusterabilityMonitor(model, 1, **options).step(5)
        assert torch.is_autocast_enabled("cpu")
    assert numbers(found) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "measured"),
    [
        (range(7), (0, 3, 6)),
        ((1, 2, 3, 4), (1, 3)),  # as of trainers that count from 1
        ((2, 4, 8, 10), (2, 4, 8, 10)),  # over multiples that are not told
        ((501, 502, 504), (501, 504)),  # gone on with
        ((4, 4, 5, 6, 6), (4, 6)),  # several batches a step
        ((np.int64(5), 0), (5, 0)),  # begun anew
    ],
)
def test_steps_that_are_due(told, measured):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    monitor = ClusterabilityMonitor(model, 3, n_clusters=2, n_shuffles=0, n_init=1, workers=1)
    returned = [step for step in told if monitor.step(step) is not None]
    assert monitor.steps == tuple(returned) == measured


@pytest.mark.slow
def test_what_cannot_be_measured_is_none_and_said_once():
    model = mlp()
    monitor = ClusterabilityMonitor(model, 1, **QUICK)
    monitor.step(0)
    with torch.no_grad():
        weight = model[0].weight.clone()
        model[0].weight.fill_(torch.inf)
    with pytest.warns(RuntimeWarning, match=r"at step 1 .*0\.weight.*; the training goes on"):
        assert monitor.step(1) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert monitor.step(2) is None
        with torch.no_grad():
            model[0].weight.copy_(weight)
        again = monitor.step(3)
    assert monitor.steps == (0, 1, 2, 3)
    assert [result is None for result in monitor.results] == [False, True, True, False]
    rows = monitor.records()
    assert rows[0] == {"step": 0, **numbers(again)}
    assert rows[1] == {"step": 1, **dict.fromkeys(numbers(again))}
    assert monitor.table()["ncut"].isna().tolist() == [False, True, True, False]
    axes = monitor.plot("a title").axes
    assert axes[0].lines[0].get_xdata().tolist() == [0, 3]


def test_the_first_failure_is_an_error():
    monitor = ClusterabilityMonitor(mlp(), 5, n_clusters=200)
    for step in (0, 1):
        with pytest.raises(InputError, match="fewer than n_clusters=200"):
            monitor.step(step)
    assert monitor.steps == monitor.results == ()
    assert monitor.records() == []
    with pytest.raises(InputError, match="a series has 0 results"):
        monitor.plot()


def test_interrupts_pass_and_states_are_kept():
    def interrupted(model, x):
        if not model.training and random.random() < 2:
            raise KeyboardInterrupt
        return model.net(x)

    model = Forward(interrupted, net=mlp())
    monitor = ClusterabilityMonitor(model, 1, example_inputs=torch.zeros(1, 6), **QUICK)
    before = state()
    with pytest.raises(KeyboardInterrupt):
        monitor.step(0)
    assert state() == before
    assert monitor.steps == ()
    assert model.training


def test_the_history_holds_no_graphs():
    monitor = ClusterabilityMonitor(mlp(), 1, **QUICK)
    assert monitor.step(0).graph is not None
    assert monitor.results[0].graph is None


def test_records_without_pandas(monkeypatch):
    monitor = ClusterabilityMonitor(mlp(), 1, name="mine", **QUICK)
    monitor.step(0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr("clusterability.report.frames.find_spec", lambda _: None)
    assert monitor.table() == monitor.records()
    assert monitor.table()[0]["network"] == "mine"
    assert repr(monitor) == "ClusterabilityMonitor(Sequential, every=1, 1 steps measured)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((mlp().state_dict(), 1), "expected a torch.nn.Module"),
        ((mlp(), 0), "every is 0, expected a whole number of at least 1"),
        ((mlp(), 2.5), "every is 2.5, expected a whole number"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        ClusterabilityMonitor(*arguments)


def test_a_monitor_has_its_network():
    with pytest.raises(InputError, match=r"network is .* leave it out"):
        ClusterabilityMonitor(mlp(), 1, network=mlp())


def test_a_step_beyond_any_axis():
    with pytest.raises(InputError, match=r"step is 10{20}, expected at most"):
        ClusterabilityMonitor(mlp(), 1, **QUICK).step(10**20)


@pytest.mark.parametrize("step", [-1, 1.5, None, "3", torch.ones(2)])
def test_bad_steps(step):
    with pytest.raises(InputError, match=r"step is .*, expected a whole number of at least 0"):
        ClusterabilityMonitor(mlp(), 1).step(step)
