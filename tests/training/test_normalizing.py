"""Training with algorithm 2 before each step."""

import pytest
import torch

from clusterability import normalize_
from clusterability.training import build, train, train_many
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.samples import Samples
from training_cases import few_digits, small_spec, stop_after, weights_of

pytestmark = pytest.mark.usefixtures("no_figures")

PENALIZED = {"eigenvalue_penalty": 0.05, "normalize": True}


def few_samples(n=40):
    digits = few_digits(n, 10).train
    x, y = torch.from_numpy(digits.x).float() / 255, torch.from_numpy(digits.y)
    return Samples(x, torch.nn.functional.one_hot(y, 10).float(), False)


def network(seed=0, name="small-mlp"):
    torch.manual_seed(seed)
    made = build(name, (1, 8, 8), 10)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return made


def stack_of(networks):
    stack = MLPStack(networks, 0.001, torch.device("cpu"))
    stack.start_epoch(())
    return stack


def test_each_network_of_a_stack_is_normalized_as_a_module_is():
    networks = [network(seed) for seed in (0, 1)]
    stack = stack_of(networks)
    stack.prune(0.6)
    masks = [stack.weights(run)["fc2.weight"] == 0 for run in (0, 1)]
    before = [stack.weights(run) for run in (0, 1)]
    stack.normalize("weights")
    for run, module in enumerate(networks):
        module.load_state_dict(before[run])
        normalize_(module, input_shape=(1, 8, 8))
        for name, value in stack.weights(run).items():
            torch.testing.assert_close(value, module.state_dict()[name], atol=1e-6, rtol=1e-5)
        assert torch.equal(stack.weights(run)["fc2.weight"] == 0, masks[run])


def test_the_slip_takes_the_threshold_for_the_mask():
    """By hand: the norm of threshold x weights and bias; 0 before the first mask."""
    stack = stack_of([network()])
    bias = stack.weights(0)["fc1.bias"]
    stack.normalize("threshold")
    sizes = bias.abs() / 2**0.5
    torch.testing.assert_close(stack.weights(0)["fc1.bias"], bias / sizes)
    stack.prune(0.5)
    before = stack.weights(0)
    kept = before["fc1.weight"][before["fc1.weight"] != 0].abs()
    stack.normalize("threshold")
    row = torch.cat([kept.min() * before["fc1.weight"][3], before["fc1.bias"][3:4]])
    expected = before["fc1.weight"][3] / (row.norm() / 2**0.5)
    torch.testing.assert_close(stack.weights(0)["fc1.weight"][3], expected)


def test_a_convolutional_network_keeps_its_function():
    samples, module = few_samples(), network(name="small-cnn")
    ours = AutogradNetwork(module, 0.001, torch.device("cpu"), (1, 8, 8))
    expected = ours.outputs(samples.x)
    ours.normalize("weights")
    torch.testing.assert_close(ours.outputs(samples.x), expected, atol=1e-5, rtol=1e-4)
    state = ours.weights(0)
    norms = state["conv1.weight"].flatten(1).square().sum(1) + state["conv1.bias"].square()
    torch.testing.assert_close(norms, torch.full_like(norms, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["weights", "threshold"])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, norm):
    spec = small_spec(**PENALIZED, pruned_norm=norm, batch_size=25)
    whole = train(spec, data=few_digits(), out=tmp_path / "whole", threads=1)
    for n_epochs in (1, 3):
        stop_after(tmp_path / "stopped", spec, n_epochs)
    stopped = train(spec, data=few_digits(), out=tmp_path / "stopped", threads=1)
    assert weights_of(stopped) == weights_of(whole)


@pytest.mark.slow
def test_the_choices_change_the_weights_and_the_name(tmp_path):
    choices = [{}, PENALIZED, PENALIZED | {"pruned_norm": "threshold"}]
    specs = [small_spec(**each, batch_size=25) for each in choices]
    runs = [train(spec, data=few_digits(), out=tmp_path, threads=1) for spec in specs]
    assert len({spec.name for spec in specs}) == len({str(weights_of(run)) for run in runs}) == 3
    (unpruned, same) = (run.folder / "unpruned.safetensors" for run in runs[1:])
    assert unpruned.read_bytes() == same.read_bytes()


@pytest.mark.slow
def test_runs_of_a_stack_are_those_alone_up_to_rounding(tmp_path):
    spec = small_spec(**PENALIZED, batch_size=50, epochs=1, learning_rate=1e-4)
    stacked = train_many(spec, 2, stacked=True, data=few_digits(), out=tmp_path, threads=1)
    alone = train_many(spec, 2, stacked=False, data=few_digits(), out=tmp_path, threads=1)
    for one, other in zip(stacked, alone, strict=True):
        first, second = (run.network("unpruned").state_dict() for run in (one, other))
        for name, value in first.items():
            torch.testing.assert_close(value, second[name], atol=1e-3, rtol=1e-3)
